-- What `status` shows about Postgres, without counting rows, so that it stays cheap.

-- name: estimate_rows :many
-- Returns the estimated row counts of the large tables, with their archives', as of their last
-- ANALYZE; null before the first one.
SELECT relname AS table_name, (nullif(reltuples, -1) + coalesce(archived.rows, 0))::bigint AS rows
FROM pg_class
LEFT JOIN LATERAL (
    SELECT sum(greatest(child.reltuples, 0)) AS rows
    FROM pg_inherits
    JOIN pg_class AS child ON child.oid = inhrelid
    WHERE inhparent = pg_class.oid
) AS archived ON true
WHERE relkind = 'r'
  AND relnamespace = current_schema()::regnamespace
  AND relname IN ('events', 'duplicates', 'payments')
ORDER BY relname;
