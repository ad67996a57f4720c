-- What `capacity` reads from the server.

-- name: read_sizes :one
-- Returns how many bytes the tables, their indexes and all of the log so far come to.
SELECT
    sum(pg_table_size(oid))::bigint AS tables,
    sum(pg_indexes_size(oid))::bigint AS indexes,
    (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint AS wal
FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind = 'r';
