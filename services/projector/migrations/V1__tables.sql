-- The tables. Whoever runs this has set search_path to the schema that they go into.
--
-- Instants are timestamptz, dates are date, amounts are numeric in units of the asset (12.34, not 1234),
-- participant and asset are the engine's dense ids, BICs and codes are text, and enums are numbers that
-- never change their meaning.
--
-- What grows with instructions is parted by day, a month in each part: the value date, or the date that a
-- refused one came in. A row names the day of its instruction, so that a join finds its part at once.

-- One row once something is committed: what every other row stands at. Every transaction locks this table
-- first: a writer against other writers, a reader against the exchange of the whole schema by a rebuild.
CREATE TABLE journal_cursor (
    one SMALLINT PRIMARY KEY CHECK (one = 1), journal BYTEA NOT NULL, journal_offset BIGINT NOT NULL,
    sequence BIGINT NOT NULL, chain BYTEA NOT NULL
);

CREATE TABLE instruction_rows (
    day DATE NOT NULL, sequence BIGINT NOT NULL, uetr UUID NOT NULL, instructing TEXT NOT NULL,
    kind SMALLINT NOT NULL, received TIMESTAMPTZ NOT NULL,
    -- Of accepted ones.
    lane SMALLINT, priority SMALLINT, created TIMESTAMPTZ, value_date DATE, assets TEXT,
    quote_provider INTEGER, quote_id TEXT,
    status SMALLINT NOT NULL, waiting SMALLINT, batch BIGINT, matched_with BIGINT,
    -- The reason as the journal has it, its ISO 20022 code and its name.
    rejection BYTEA, reason_code TEXT, reason TEXT,
    -- The cycle that it is, or was last, a member of.
    cycle_date DATE, cycle_number INTEGER,
    member_index BIGINT,
    -- Its place in the gross lane's queues, once it has waited there: by priority, then rank, then unit.
    queue_priority SMALLINT, queue_rank BIGINT, queue_unit BIGINT,
    PRIMARY KEY (sequence, day)
) PARTITION BY RANGE (day);

-- The instructions that wait. A table and no index over their status: a change of an indexed column would
-- touch every index of the instruction's row, which is then no longer changed within its page.
CREATE TABLE waiting_rows (sequence BIGINT PRIMARY KEY, day DATE NOT NULL);

-- Apart, since an instruction's row is rewritten with each status and its content never is.
CREATE TABLE content_rows (
    day DATE NOT NULL, sequence BIGINT NOT NULL, content BYTEA NOT NULL, PRIMARY KEY (sequence, day)
) PARTITION BY RANGE (day);

CREATE TABLE leg_rows (
    day DATE NOT NULL, instruction BIGINT NOT NULL, leg_index SMALLINT NOT NULL, kind SMALLINT NOT NULL,
    debtor INTEGER NOT NULL, creditor INTEGER NOT NULL, asset INTEGER NOT NULL, amount NUMERIC NOT NULL,
    PRIMARY KEY (instruction, leg_index, day)
) PARTITION BY RANGE (day);

CREATE TABLE party_rows (
    day DATE NOT NULL, participant INTEGER NOT NULL, sequence BIGINT NOT NULL, roles SMALLINT NOT NULL,
    PRIMARY KEY (participant, sequence, day)
) PARTITION BY RANGE (day);

CREATE TABLE change_rows (
    day DATE NOT NULL, sequence BIGINT NOT NULL, change_index BIGINT NOT NULL, instruction BIGINT NOT NULL,
    status SMALLINT NOT NULL, waiting SMALLINT, cycle_date DATE, cycle_number INTEGER, batch BIGINT,
    rejection BYTEA, matched_with BIGINT, time TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (sequence, change_index, day)
) PARTITION BY RANGE (day);

-- Changes that are no entry (first change of the instruction's own input): those are in party_rows.
CREATE TABLE party_change_rows (
    day DATE NOT NULL, participant INTEGER NOT NULL, sequence BIGINT NOT NULL, change_index BIGINT NOT NULL,
    instruction BIGINT NOT NULL,
    PRIMARY KEY (participant, sequence, change_index, day)
) PARTITION BY RANGE (day);

CREATE TABLE received_rows (
    day DATE NOT NULL, participant INTEGER NOT NULL, sequence BIGINT NOT NULL, unit_index BIGINT NOT NULL,
    instruction BIGINT NOT NULL,
    PRIMARY KEY (participant, sequence, unit_index, day)
) PARTITION BY RANGE (day);

CREATE TABLE batch_member_rows (
    day DATE NOT NULL, batch BIGINT NOT NULL, sequence BIGINT NOT NULL, member_index BIGINT NOT NULL,
    PRIMARY KEY (batch, sequence, day)
) PARTITION BY RANGE (day);

CREATE TABLE batch_rows (
    number BIGINT PRIMARY KEY, cycle_date DATE, cycle_number INTEGER, time TIMESTAMPTZ NOT NULL,
    sequence BIGINT NOT NULL, member_count BIGINT NOT NULL, certificate_hash BYTEA
);
CREATE TABLE posting_rows (
    batch BIGINT NOT NULL, posting_index BIGINT NOT NULL, holder TEXT NOT NULL, asset INTEGER NOT NULL,
    mirror BOOLEAN NOT NULL, amount NUMERIC NOT NULL, balance NUMERIC NOT NULL,
    PRIMARY KEY (batch, posting_index)
);
-- From the ledger's side; may come before the batch.
CREATE TABLE anchor_rows (batch BIGINT PRIMARY KEY, log_index BIGINT NOT NULL, header TEXT NOT NULL);

CREATE TABLE movement_rows (
    sequence BIGINT PRIMARY KEY, kind SMALLINT NOT NULL, participant INTEGER NOT NULL,
    asset INTEGER NOT NULL, amount NUMERIC NOT NULL, cycle_date DATE, cycle_number INTEGER,
    batch BIGINT NOT NULL, time TIMESTAMPTZ NOT NULL
);

CREATE TABLE cycle_rows (
    value_date DATE NOT NULL, number INTEGER NOT NULL, cut_off TIMESTAMPTZ NOT NULL,
    pay_in_deadline TIMESTAMPTZ NOT NULL, completion_deadline TIMESTAMPTZ NOT NULL,
    -- The input that closed it.
    closed BIGINT, schedule_version BIGINT NOT NULL DEFAULT 0,
    schedule_reason TEXT NOT NULL DEFAULT '', completed BOOLEAN NOT NULL DEFAULT FALSE,
    into_date DATE, into_number INTEGER,
    PRIMARY KEY (value_date, number)
);
-- Of assets with pay-in deadlines of their own.
CREATE TABLE cycle_deadline_rows (
    value_date DATE NOT NULL, number INTEGER NOT NULL, asset INTEGER NOT NULL,
    pay_in_deadline TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (value_date, number, asset)
);
-- Every version of a cycle's schedule.
CREATE TABLE schedule_rows (
    value_date DATE NOT NULL, number INTEGER NOT NULL, version BIGINT NOT NULL,
    participant INTEGER NOT NULL, asset INTEGER NOT NULL, net NUMERIC NOT NULL,
    pay_in_due NUMERIC NOT NULL, pay_out_due NUMERIC NOT NULL,
    PRIMARY KEY (value_date, number, version, participant, asset)
);

-- What rounding gave the provider (above zero) or took, in minor units of the asset: gain / denominator.
CREATE TABLE quote_rows (
    provider INTEGER NOT NULL, quote_id TEXT NOT NULL, sequence BIGINT NOT NULL, taker TEXT NOT NULL,
    value_date DATE NOT NULL, asset INTEGER NOT NULL, gain NUMERIC NOT NULL, denominator NUMERIC NOT NULL,
    PRIMARY KEY (provider, quote_id)
);

CREATE TABLE participant_rows (
    id INTEGER PRIMARY KEY, bic TEXT NOT NULL UNIQUE, name TEXT NOT NULL, state SMALLINT NOT NULL
);
CREATE TABLE asset_rows (
    id INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE, decimals SMALLINT NOT NULL, agent TEXT NOT NULL,
    enabled BOOLEAN NOT NULL
);
-- The balance is that after the last closed batch which changed it.
CREATE TABLE account_rows (
    id BIGINT PRIMARY KEY, participant INTEGER NOT NULL, asset INTEGER NOT NULL, state SMALLINT NOT NULL,
    balance NUMERIC NOT NULL DEFAULT 0, batch BIGINT,
    UNIQUE (participant, asset)
);

-- Makes the parts for the month that begins at `month`, where they are not there yet. A writer that does not
-- own the tables may call it. Attached rather than created in place, so that no reader waits.
CREATE FUNCTION make_month(month DATE) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    parted TEXT;
    part TEXT;
BEGIN
    FOREACH parted IN ARRAY ARRAY['instruction_rows', 'content_rows', 'leg_rows', 'party_rows',
        'change_rows', 'party_change_rows', 'received_rows', 'batch_member_rows'] LOOP
        part := parted || to_char(month, '_YYYY_MM');
        IF to_regclass(quote_ident(part)) IS NULL THEN
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', part, parted);
            IF parted = 'instruction_rows' THEN
                -- Room in each page for the statuses to come.
                EXECUTE format('ALTER TABLE %I SET (fillfactor = 75)', part);
            END IF;
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                parted, part, month, (month + INTERVAL '1 month')::DATE);
        END IF;
    END LOOP;
END $$;
ALTER FUNCTION make_month(DATE) SET search_path FROM CURRENT;
REVOKE EXECUTE ON FUNCTION make_month(DATE) FROM PUBLIC;
