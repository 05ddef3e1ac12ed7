-- A completed cycle owes nothing, and nothing is owed to it: what its funds held is free.

CREATE OR REPLACE VIEW cycle_funding AS
SELECT c.value_date::TEXT || '/' || c.number AS cycle, c.value_date, c.number AS cycle_number,
    CASE WHEN c.completed THEN 'completed' WHEN c.schedule_version > 0 THEN 'settling'
        WHEN c.closed IS NOT NULL THEN 'closed' ELSE 'open' END AS cycle_state,
    p.bic AS participant, a.code AS asset, coalesce(s.net, 0) AS net,
    coalesce(s.pay_in_due, 0) AS pay_in_due, coalesce(f.paid_in, 0) AS paid_in,
    CASE WHEN c.completed THEN 0 ELSE greatest(coalesce(s.pay_in_due, 0) - coalesce(f.paid_in, 0), 0) END
        AS pay_in_outstanding,
    least(c.pay_in_deadline, d.pay_in_deadline) AS pay_in_deadline,
    coalesce(s.pay_out_due, 0) AS pay_out_due, coalesce(f.paid_out, 0) AS paid_out,
    CASE WHEN c.completed THEN 0 ELSE greatest(coalesce(s.pay_out_due, 0) - coalesce(f.paid_out, 0), 0) END
        AS pay_out_outstanding,
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
