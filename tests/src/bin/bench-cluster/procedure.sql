-- What a bank's developer would write, and write well: set-based, one call for many instructions, durable when
-- it returns. Instructions settle at once if every debited account can bear all of the call's debits; else one by
-- one, in order.
DROP SCHEMA IF EXISTS bench CASCADE;
CREATE SCHEMA bench;

CREATE TABLE bench.account (
    id      INTEGER PRIMARY KEY,
    balance BIGINT NOT NULL CHECK (balance >= 0)
) WITH (fillfactor = 10);
INSERT INTO bench.account SELECT id, 10000000000000 FROM generate_series(0, 15) id;

CREATE TABLE bench.instruction (
    uetr           UUID PRIMARY KEY,
    sequence       BIGINT GENERATED ALWAYS AS IDENTITY,
    digest         BYTEA NOT NULL,
    debtor         INTEGER NOT NULL,
    creditor       INTEGER NOT NULL,
    amount         BIGINT NOT NULL CHECK (amount > 0),
    settled        BOOLEAN NOT NULL,
    received       TIMESTAMPTZ NOT NULL DEFAULT now(),
    instruction_id TEXT NOT NULL,
    end_to_end_id  TEXT NOT NULL
);

-- Answers how many of the call's instructions are settled now: new ones, and repeats with the same content.
CREATE FUNCTION bench.submit(uetrs UUID[], digests BYTEA[], debtors INTEGER[], creditors INTEGER[],
                             amounts BIGINT[], instruction_ids TEXT[], end_to_end_ids TEXT[])
RETURNS BIGINT LANGUAGE plpgsql AS $$
DECLARE
    inserted BIGINT;
    short    BOOLEAN;
    answer   BIGINT;
    one      RECORD;
BEGIN
    -- Duplicates stay as they are. Inserting comes before any account is locked, so that calls overlap in it.
    INSERT INTO bench.instruction (uetr, digest, debtor, creditor, amount, settled, instruction_id, end_to_end_id)
    SELECT i.uetr, i.digest, i.debtor, i.creditor, i.amount, TRUE, i.instruction_id, i.end_to_end_id
    FROM unnest(uetrs, digests, debtors, creditors, amounts, instruction_ids, end_to_end_ids)
        AS i (uetr, digest, debtor, creditor, amount, instruction_id, end_to_end_id)
    ON CONFLICT (uetr) DO NOTHING;
    GET DIAGNOSTICS inserted = ROW_COUNT;

    -- In one order, so that calls never wait for each other in a circle.
    PERFORM 1 FROM bench.account WHERE id = ANY (debtors) OR id = ANY (creditors) ORDER BY id FOR UPDATE;

    IF inserted = cardinality(uetrs) THEN
        SELECT bool_or(d.debits > a.balance) INTO short
        FROM (SELECT debtor, sum(amount) AS debits FROM unnest(debtors, amounts) AS d (debtor, amount) GROUP BY debtor) d
        JOIN bench.account a ON a.id = d.debtor;
        IF NOT short THEN
            UPDATE bench.account a SET balance = a.balance + c.change
            FROM (SELECT account, sum(amount)::BIGINT AS change
                  FROM (SELECT * FROM unnest(creditors, amounts)
                        UNION ALL
                        SELECT debtor, -amount FROM unnest(debtors, amounts) AS d (debtor, amount)) AS c (account, amount)
                  GROUP BY account) c
            WHERE a.id = c.account;
            RETURN inserted;
        END IF;
    END IF;

    -- The rare way: repeats among them, or not money enough for all.
    FOR one IN
        SELECT n.uetr, n.debtor, n.creditor, n.amount
        FROM bench.instruction n WHERE n.uetr = ANY (uetrs) AND n.received = now() ORDER BY n.sequence
    LOOP
        UPDATE bench.account SET balance = balance - one.amount WHERE id = one.debtor AND balance >= one.amount;
        IF FOUND THEN
            UPDATE bench.account SET balance = balance + one.amount WHERE id = one.creditor;
        ELSE
            UPDATE bench.instruction SET settled = FALSE WHERE uetr = one.uetr;
        END IF;
    END LOOP;
    SELECT count(*) INTO answer
    FROM unnest(uetrs, digests) AS i (uetr, digest)
    JOIN bench.instruction n ON n.uetr = i.uetr AND n.digest = i.digest AND n.settled;
    RETURN answer;
END $$;
