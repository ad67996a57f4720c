-- What `scale` reads from the server.

-- name: read_counters :one
-- Returns what was written to the log so far, how many pages were written to it as a whole, and the checkpoints.
SELECT
    (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint AS wal_bytes,
    (SELECT wal_fpi FROM pg_stat_wal) AS full_pages,
    (SELECT num_done FROM pg_stat_checkpointer) AS checkpoints;

-- name: list_large_indexes :many
-- Returns the largest indexes, with those of all partitions as one.
SELECT coalesce(pg_partition_root(indexrelid), indexrelid)::regclass::text AS name,
       sum(pg_relation_size(indexrelid))::bigint AS bytes
FROM pg_index
WHERE indrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)
GROUP BY 1
ORDER BY 2 DESC
LIMIT 8;

-- name: forget_redis :exec
-- Each turn empties Redis: without this a worker would compare it, as a restored one, with all that Postgres has.
DELETE FROM redis_beats;
