-- Whether a batch's run kept order, and who is asked to approve. Of batches that closed and instructions that
-- came in before this, a rebuild tells it too.

ALTER TABLE batch_rows ADD COLUMN run_order SMALLINT;
-- Gross batches always keep it.
UPDATE batch_rows SET run_order = 1 WHERE cycle_date IS NULL;

CREATE OR REPLACE VIEW batches AS
SELECT b.number AS batch, b.cycle_date::TEXT || '/' || b.cycle_number AS cycle, b.time AS closed_at,
    b.member_count AS members, b.sequence, encode(b.certificate_hash, 'hex') AS certificate_hash,
    a.log_index, a.header,
    CASE b.run_order WHEN 1 THEN 'kept' WHEN 2 THEN 'bypassed' WHEN 3 THEN 'bypassed' END AS run_order,
    b.run_order IN (1, 3) AS optimal
FROM batch_rows b LEFT JOIN anchor_rows a ON a.batch = b.number;
COMMENT ON COLUMN batches.run_order IS 'kept: nothing settled before what waits ahead of it; bypassed; null where it closed before this was kept.';
COMMENT ON COLUMN batches.optimal IS 'Whether it is proven that nothing more could have settled (with order kept: in order).';
