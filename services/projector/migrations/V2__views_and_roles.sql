-- What people ask: views with readable names, indexes that they need, and who may do what.

CREATE INDEX instruction_rows_by_quote ON instruction_rows (quote_provider, quote_id)
    WHERE quote_id IS NOT NULL;
CREATE INDEX instruction_rows_by_uetr ON instruction_rows (uetr);
CREATE INDEX batch_rows_by_cycle ON batch_rows (cycle_date, cycle_number) WHERE cycle_date IS NOT NULL;
CREATE INDEX movement_rows_by_cycle ON movement_rows (cycle_date, cycle_number) WHERE cycle_date IS NOT NULL;

-- The least common multiple of many, for exact sums of fractions.
CREATE AGGREGATE common_denominator (NUMERIC) (SFUNC = lcm, STYPE = NUMERIC, INITCOND = '1');

-- What each cycle's fund of an account holds and has moved; `now` counts every movement, `closed` those
-- in closed batches only. A completed cycle's funds are free again.
CREATE VIEW fund_sums AS
WITH sums AS (
    SELECT m.cycle_date AS value_date, m.cycle_number AS number, m.participant, m.asset,
        CASE m.kind WHEN 4 THEN -m.amount ELSE m.amount END AS change,
        CASE WHEN m.kind IN (3, 5) AND m.sequence > coalesce(c.closed, m.sequence) THEN m.amount ELSE 0 END
            AS paid_in,
        CASE m.kind WHEN 4 THEN m.amount ELSE 0 END AS paid_out,
        EXISTS (SELECT FROM batch_rows b WHERE b.number = m.batch) AS in_closed_batch
    FROM movement_rows m JOIN cycle_rows c ON c.value_date = m.cycle_date AND c.number = m.cycle_number
    UNION ALL
    SELECT b.cycle_date, b.cycle_number, h.id, p.asset, p.amount, 0, 0, TRUE
    FROM batch_rows b JOIN posting_rows p ON p.batch = b.number AND NOT p.mirror
        JOIN participant_rows h ON h.bic = p.holder
    WHERE b.cycle_date IS NOT NULL
)
SELECT s.value_date, s.number, s.participant, s.asset,
    CASE WHEN c.completed THEN 0 ELSE sum(s.change) END AS fund_now,
    CASE WHEN c.completed THEN 0 ELSE coalesce(sum(s.change) FILTER (WHERE s.in_closed_batch), 0) END
        AS fund_closed,
    sum(s.paid_in) AS paid_in, sum(s.paid_out) AS paid_out
FROM sums s JOIN cycle_rows c USING (value_date, number)
GROUP BY s.value_date, s.number, s.participant, s.asset, c.completed;
COMMENT ON VIEW fund_sums IS 'Behind positions and cycle_funding: what each cycle''s fund of an account holds.';

CREATE VIEW positions AS
SELECT p.bic AS participant, p.name AS participant_name, a.code AS asset, a.agent AS settlement_agent,
    account.balance::NUMERIC AS balance, coalesce(f.reserved, 0) AS reserved,
    account.balance - coalesce(f.reserved, 0) AS available,
    CASE account.state WHEN 1 THEN 'open' WHEN 2 THEN 'blocked' WHEN 3 THEN 'closed' END AS account_state,
    account.batch AS last_batch, b.time AS as_of
FROM account_rows account
    JOIN participant_rows p ON p.id = account.participant
    JOIN asset_rows a ON a.id = account.asset
    LEFT JOIN batch_rows b ON b.number = account.batch
    LEFT JOIN (SELECT participant, asset, sum(fund_closed) AS reserved FROM fund_sums
               GROUP BY participant, asset) f
        ON f.participant = account.participant AND f.asset = account.asset;
COMMENT ON VIEW positions IS 'Each account, as of the closed batches; the gross lane closes one about each second.';
COMMENT ON COLUMN positions.participant IS 'BIC of the account''s participant.';
COMMENT ON COLUMN positions.participant_name IS 'Its name.';
COMMENT ON COLUMN positions.asset IS 'Currency or token code.';
COMMENT ON COLUMN positions.settlement_agent IS 'BIC of who holds the asset''s real money.';
COMMENT ON COLUMN positions.balance IS 'Balance in units of the asset, funds of cycles included.';
COMMENT ON COLUMN positions.reserved IS 'Part of the balance that is in funds of cycles which have not completed.';
COMMENT ON COLUMN positions.available IS 'Balance less reserved: what the gross lane may use.';
COMMENT ON COLUMN positions.account_state IS 'open, blocked or closed.';
COMMENT ON COLUMN positions.last_batch IS 'The last closed batch that changed the balance; null before the first.';
COMMENT ON COLUMN positions.as_of IS 'When that batch closed.';

CREATE VIEW instructions AS
SELECT i.sequence, i.uetr, i.instructing,
    CASE i.kind WHEN 1 THEN 'payment' WHEN 2 THEN 'cover' WHEN 3 THEN 'return' WHEN 4 THEN 'trade side' END
        AS kind,
    CASE i.lane WHEN 1 THEN 'gross' WHEN 2 THEN 'net' END AS lane,
    CASE coalesce(i.queue_priority, i.priority) WHEN 1 THEN 'urgent' WHEN 2 THEN 'high' WHEN 3 THEN 'normal' END
        AS priority,
    i.value_date, i.created, i.received,
    CASE i.status WHEN 1 THEN 'ACTC' WHEN 2 THEN 'PDNG' WHEN 3 THEN 'ACSP' WHEN 4 THEN 'ACSC' WHEN 5 THEN 'RJCT'
        WHEN 6 THEN 'CANC' END AS status,
    CASE i.status WHEN 1 THEN 'member' WHEN 2 THEN 'waiting' WHEN 3 THEN 'irrevocable' WHEN 4 THEN 'settled'
        WHEN 5 THEN 'rejected' WHEN 6 THEN 'cancelled' END AS state,
    i.reason_code, i.reason,
    i.cycle_date::TEXT || '/' || i.cycle_number AS cycle, i.batch, i.matched_with,
    l.amounts, l.debtors, l.creditors
FROM instruction_rows i LEFT JOIN LATERAL (
    SELECT string_agg(l.amount || ' ' || a.code, ', ' ORDER BY l.leg_index) AS amounts,
        string_agg(DISTINCT d.bic, ', ') AS debtors, string_agg(DISTINCT c.bic, ', ') AS creditors
    FROM leg_rows l JOIN asset_rows a ON a.id = l.asset
        JOIN participant_rows d ON d.id = l.debtor JOIN participant_rows c ON c.id = l.creditor
    WHERE l.instruction = i.sequence AND l.day = i.day
) l ON TRUE;
COMMENT ON VIEW instructions IS 'Every instruction, refused or not, with its current status.';
COMMENT ON COLUMN instructions.sequence IS 'Number of the input that brought it.';
COMMENT ON COLUMN instructions.uetr IS 'End-to-end reference; the same on every hop, on a cover and in a return.';
COMMENT ON COLUMN instructions.instructing IS 'BIC of the participant that sent it.';
COMMENT ON COLUMN instructions.kind IS 'payment, cover, return or trade side.';
COMMENT ON COLUMN instructions.lane IS 'gross (settles alone) or net (settles in a cycle); null if it was refused.';
COMMENT ON COLUMN instructions.priority IS 'urgent, high or normal: as queued, else as sent.';
COMMENT ON COLUMN instructions.value_date IS 'Null if it was refused.';
COMMENT ON COLUMN instructions.created IS 'When the sender made it; null if it was refused.';
COMMENT ON COLUMN instructions.received IS 'When the journal took it.';
COMMENT ON COLUMN instructions.status IS 'ISO 20022: ACTC, PDNG, ACSP, ACSC, RJCT; CANC for cancelled.';
COMMENT ON COLUMN instructions.state IS 'member, waiting, irrevocable, settled, rejected or cancelled.';
COMMENT ON COLUMN instructions.reason_code IS 'Of a rejected one: the ISO 20022 external status reason code.';
COMMENT ON COLUMN instructions.reason IS 'Of a rejected one: the reason''s name.';
COMMENT ON COLUMN instructions.cycle IS 'The cycle that it is, or was last, a member of: value date/number.';
COMMENT ON COLUMN instructions.batch IS 'Of a settled one: the batch.';
COMMENT ON COLUMN instructions.matched_with IS 'The sequence of its trade''s other side.';
COMMENT ON COLUMN instructions.amounts IS 'Each leg''s amount and asset, in the order of the legs.';
COMMENT ON COLUMN instructions.debtors IS 'BICs that its legs debit.';
COMMENT ON COLUMN instructions.creditors IS 'BICs that its legs credit.';

CREATE VIEW legs AS
SELECT l.instruction, l.leg_index + 1 AS leg,
    CASE l.kind WHEN 1 THEN 'principal' WHEN 2 THEN 'charge' END AS kind,
    d.bic AS debtor, c.bic AS creditor, a.code AS asset, l.amount, l.day AS value_date
FROM leg_rows l JOIN asset_rows a ON a.id = l.asset
    JOIN participant_rows d ON d.id = l.debtor JOIN participant_rows c ON c.id = l.creditor;
COMMENT ON VIEW legs IS 'The legs of every accepted instruction.';
COMMENT ON COLUMN legs.instruction IS 'Sequence of the instruction.';
COMMENT ON COLUMN legs.leg IS 'From 1.';
COMMENT ON COLUMN legs.kind IS 'principal or charge.';
COMMENT ON COLUMN legs.debtor IS 'BIC of who pays.';
COMMENT ON COLUMN legs.creditor IS 'BIC of who is paid.';
COMMENT ON COLUMN legs.asset IS 'Currency or token code.';
COMMENT ON COLUMN legs.amount IS 'In units of the asset.';
COMMENT ON COLUMN legs.value_date IS 'The instruction''s.';

CREATE VIEW cycle_funding AS
SELECT c.value_date::TEXT || '/' || c.number AS cycle, c.value_date, c.number AS cycle_number,
    CASE WHEN c.completed THEN 'completed' WHEN c.schedule_version > 0 THEN 'settling'
        WHEN c.closed IS NOT NULL THEN 'closed' ELSE 'open' END AS cycle_state,
    p.bic AS participant, a.code AS asset, coalesce(s.net, 0) AS net,
    coalesce(s.pay_in_due, 0) AS pay_in_due, coalesce(f.paid_in, 0) AS paid_in,
    greatest(coalesce(s.pay_in_due, 0) - coalesce(f.paid_in, 0), 0) AS pay_in_outstanding,
    least(c.pay_in_deadline, d.pay_in_deadline) AS pay_in_deadline,
    coalesce(s.pay_out_due, 0) AS pay_out_due, coalesce(f.paid_out, 0) AS paid_out,
    greatest(coalesce(s.pay_out_due, 0) - coalesce(f.paid_out, 0), 0) AS pay_out_outstanding,
    coalesce(f.fund_now, 0) AS fund, c.schedule_version, c.schedule_reason
FROM fund_sums f
    FULL JOIN (SELECT s.* FROM schedule_rows s JOIN cycle_rows c
               ON c.value_date = s.value_date AND c.number = s.number AND c.schedule_version = s.version) s
        ON s.value_date = f.value_date AND s.number = f.number AND s.participant = f.participant
            AND s.asset = f.asset
    JOIN cycle_rows c ON c.value_date = coalesce(s.value_date, f.value_date)
        AND c.number = coalesce(s.number, f.number)
    JOIN participant_rows p ON p.id = coalesce(s.participant, f.participant)
    JOIN asset_rows a ON a.id = coalesce(s.asset, f.asset)
    LEFT JOIN cycle_deadline_rows d ON d.value_date = c.value_date AND d.number = c.number AND d.asset = a.id;
COMMENT ON VIEW cycle_funding IS 'What each participant owes to each cycle, and is owed by it, by its current schedule.';
COMMENT ON COLUMN cycle_funding.cycle IS 'value date/number.';
COMMENT ON COLUMN cycle_funding.value_date IS 'The cycle''s.';
COMMENT ON COLUMN cycle_funding.cycle_number IS 'Number of the cycle on that value date.';
COMMENT ON COLUMN cycle_funding.cycle_state IS 'open, closed, settling or completed.';
COMMENT ON COLUMN cycle_funding.participant IS 'BIC.';
COMMENT ON COLUMN cycle_funding.asset IS 'Currency or token code.';
COMMENT ON COLUMN cycle_funding.net IS 'Multilateral net: above zero is received.';
COMMENT ON COLUMN cycle_funding.pay_in_due IS 'What the schedule calls for.';
COMMENT ON COLUMN cycle_funding.paid_in IS 'Pay-ins and transfers since the cycle closed.';
COMMENT ON COLUMN cycle_funding.pay_in_outstanding IS 'Due and not yet paid.';
COMMENT ON COLUMN cycle_funding.pay_in_deadline IS 'Until when it is to be paid; the asset''s own if that is earlier.';
COMMENT ON COLUMN cycle_funding.pay_out_due IS 'What the schedule pays out.';
COMMENT ON COLUMN cycle_funding.paid_out IS 'What was paid out.';
COMMENT ON COLUMN cycle_funding.pay_out_outstanding IS 'Due and not yet paid out.';
COMMENT ON COLUMN cycle_funding.fund IS 'What the cycle''s fund of the account holds now; 0 once the cycle has completed.';
COMMENT ON COLUMN cycle_funding.schedule_version IS '1 by netting, the next by a suspension; 0 before.';
COMMENT ON COLUMN cycle_funding.schedule_reason IS 'Why there is this version.';

CREATE VIEW batches AS
SELECT b.number AS batch, b.cycle_date::TEXT || '/' || b.cycle_number AS cycle, b.time AS closed_at,
    b.member_count AS members, b.sequence, encode(b.certificate_hash, 'hex') AS certificate_hash,
    a.log_index, a.header
FROM batch_rows b LEFT JOIN anchor_rows a ON a.batch = b.number;
COMMENT ON VIEW batches IS 'Every closed batch, with its place in the ledger''s log once it is anchored.';
COMMENT ON COLUMN batches.batch IS 'Its number, from 1.';
COMMENT ON COLUMN batches.cycle IS 'The cycle whose run it is: value date/number; null for a gross batch.';
COMMENT ON COLUMN batches.closed_at IS 'When it closed.';
COMMENT ON COLUMN batches.members IS 'Units (a matched trade is one) and movements.';
COMMENT ON COLUMN batches.sequence IS 'The input that closed it.';
COMMENT ON COLUMN batches.certificate_hash IS 'Of the run that settled it, in hex.';
COMMENT ON COLUMN batches.log_index IS 'Its entry in the ledger''s log, from 0; null until it is anchored.';
COMMENT ON COLUMN batches.header IS 'That entry: the batch''s header.';

CREATE VIEW rounding_ledger AS
WITH settled AS (
    SELECT q.provider, q.value_date, q.asset, q.denominator * power(10::NUMERIC, a.decimals)::NUMERIC(40, 0)
        AS denominator, sum(q.gain) AS gain, count(*) AS quotes
    FROM quote_rows q JOIN asset_rows a ON a.id = q.asset
        JOIN instruction_rows i ON i.quote_provider = q.provider AND i.quote_id = q.quote_id AND i.status = 4
    GROUP BY q.provider, q.value_date, q.asset, q.denominator, a.decimals
), common AS (
    SELECT provider, value_date, asset, common_denominator(denominator) AS denominator
    FROM settled GROUP BY provider, value_date, asset
), summed AS (
    SELECT c.provider, c.value_date, c.asset, c.denominator,
        sum(s.gain * div(c.denominator, s.denominator)) AS gain, sum(s.quotes) AS quotes
    FROM common c JOIN settled s USING (provider, value_date, asset)
    GROUP BY c.provider, c.value_date, c.asset, c.denominator
)
SELECT p.bic AS provider, a.code AS asset, s.value_date, s.quotes::BIGINT AS quotes,
    div(s.gain, gcd(s.gain, s.denominator)) || '/' || div(s.denominator, gcd(s.gain, s.denominator))
        AS gained_exactly,
    round(s.gain / s.denominator, 20) AS gained
FROM summed s JOIN participant_rows p ON p.id = s.provider JOIN asset_rows a ON a.id = s.asset;
COMMENT ON VIEW rounding_ledger IS 'What rounding gave each provider, over its quotes that settled.';
COMMENT ON COLUMN rounding_ledger.provider IS 'BIC of the provider.';
COMMENT ON COLUMN rounding_ledger.asset IS 'The asset whose amounts were computed.';
COMMENT ON COLUMN rounding_ledger.value_date IS 'Of the quotes.';
COMMENT ON COLUMN rounding_ledger.quotes IS 'How many.';
COMMENT ON COLUMN rounding_ledger.gained_exactly IS 'What it gained (above zero) or lost, in units of the asset: an exact fraction in lowest terms.';
COMMENT ON COLUMN rounding_ledger.gained IS 'The same to 20 decimals, for reading; the exact one is beside it.';

CREATE VIEW waiting_with_reason AS
WITH queued AS (
    SELECT DISTINCT i.queue_unit, i.queue_priority, i.queue_rank, l.debtor, l.asset
    FROM waiting_rows w JOIN instruction_rows i ON i.sequence = w.sequence AND i.day = w.day
        JOIN leg_rows l ON l.instruction = i.sequence AND l.day = i.day
    WHERE i.waiting IN (2, 3)
), heads AS (
    SELECT queue_unit, first_value(queue_unit) OVER (
        PARTITION BY debtor, asset ORDER BY queue_priority, queue_rank, queue_unit) AS head
    FROM queued
), behind AS (
    SELECT DISTINCT ON (queue_unit) queue_unit, head FROM heads WHERE head <> queue_unit
    ORDER BY queue_unit, head
)
SELECT i.sequence, i.uetr, i.instructing,
    CASE i.kind WHEN 1 THEN 'payment' WHEN 2 THEN 'cover' WHEN 3 THEN 'return' WHEN 4 THEN 'trade side' END
        AS kind,
    CASE coalesce(i.queue_priority, i.priority) WHEN 1 THEN 'urgent' WHEN 2 THEN 'high' WHEN 3 THEN 'normal' END
        AS priority,
    i.value_date,
    CASE i.waiting WHEN 1 THEN 'unmatched' WHEN 4 THEN 'held' WHEN 5 THEN 'approval' WHEN 6 THEN 'preimage'
        WHEN 7 THEN 'not before' WHEN 8 THEN 'group'
        ELSE CASE WHEN b.head IS NULL THEN 'liquidity' ELSE 'order' END END AS reason,
    b.head AS behind, v.amounts, v.debtors, v.creditors, i.received
FROM waiting_rows w JOIN instruction_rows i ON i.sequence = w.sequence AND i.day = w.day
    JOIN instructions v ON v.sequence = w.sequence
    LEFT JOIN behind b ON b.queue_unit = i.queue_unit AND i.waiting IN (2, 3);
COMMENT ON VIEW waiting_with_reason IS 'Every instruction that waits (PDNG), and why.';
COMMENT ON COLUMN waiting_with_reason.sequence IS 'Number of the input that brought it.';
COMMENT ON COLUMN waiting_with_reason.uetr IS 'End-to-end reference.';
COMMENT ON COLUMN waiting_with_reason.instructing IS 'BIC of the participant that sent it.';
COMMENT ON COLUMN waiting_with_reason.kind IS 'payment, cover, return or trade side.';
COMMENT ON COLUMN waiting_with_reason.priority IS 'urgent, high or normal: as queued, else as sent.';
COMMENT ON COLUMN waiting_with_reason.value_date IS 'The instruction''s.';
COMMENT ON COLUMN waiting_with_reason.reason IS 'unmatched, approval, preimage, not before, group, order, liquidity or held.';
COMMENT ON COLUMN waiting_with_reason.behind IS 'If it waits for order: the first in a queue that it stands in, by the sequence that names it.';
COMMENT ON COLUMN waiting_with_reason.amounts IS 'Each leg''s amount and asset.';
COMMENT ON COLUMN waiting_with_reason.debtors IS 'BICs that its legs debit.';
COMMENT ON COLUMN waiting_with_reason.creditors IS 'BICs that its legs credit.';
COMMENT ON COLUMN waiting_with_reason.received IS 'When the journal took it.';

-- Roles belong to the whole server: they may be there, and whoever runs this may be not allowed to make them.
-- Then an administrator makes them and grants the same.
DO $$
DECLARE
    role TEXT;
    home TEXT := quote_ident(current_schema());
BEGIN
    FOREACH role IN ARRAY ARRAY['valuta_writer', 'valuta_reader'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', role);
            EXCEPTION
                WHEN duplicate_object OR unique_violation THEN NULL;
                WHEN insufficient_privilege THEN
                    RAISE WARNING 'role % is not there and may not be made here', role;
                    CONTINUE;
            END;
        END IF;
        EXECUTE format('GRANT USAGE ON SCHEMA %s TO %I', home, role);
        EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %s TO %I', home, role);
    END LOOP;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'valuta_writer') THEN
        EXECUTE format('GRANT INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA %s TO valuta_writer', home);
        GRANT EXECUTE ON FUNCTION make_month(DATE) TO valuta_writer;
    END IF;
END $$;
