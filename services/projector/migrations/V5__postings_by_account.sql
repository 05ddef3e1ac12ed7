-- The newest batch up to a number that changed an account: whose balance proof is asked for.

CREATE INDEX posting_rows_by_account ON posting_rows (holder, asset, batch);
