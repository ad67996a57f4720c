-- What `status` shows about Postgres, without counting rows, so that it stays cheap.

-- name: estimate_rows :many
-- Returns the estimated row counts of the large tables, as of their last ANALYZE; null before the first one.
SELECT relname AS table_name, nullif(reltuples, -1)::bigint AS rows
FROM pg_class
WHERE relkind = 'r'
  AND relnamespace = current_schema()::regnamespace
  AND relname IN ('events', 'duplicates', 'payments')
ORDER BY relname;
