-- The history of migrations. pogo-core, which runs the files of sql/migrations, creates and maintains the table.

-- name: lock_migrations :one
-- Lets one migration run at a time: whether it is ours. The lock belongs to the session and ends with the connection.
-- It never waits: an index that is built concurrently would wait for the statement that waits for it.
SELECT pg_try_advisory_lock(hashtextextended('payments:migrations', 0)) AS locked;

-- name: unlock_migrations :exec
-- Lets the next migration run before this connection is closed.
SELECT pg_advisory_unlock(hashtextextended('payments:migrations', 0));

-- name: has_migrations :one
-- Returns whether a migration was ever applied: a fresh database does not have the table.
SELECT to_regclass('public._pogo_migration') IS NOT NULL AS has_migrations;

-- name: list_applied_migrations :many
-- Returns the applied migrations and their times, the oldest first.
SELECT migration_id, applied FROM public._pogo_migration WHERE schema_name = :schema ORDER BY applied, migration_id;

-- name: name_role :exec
-- Names the role that sql/grants.sql makes and gives rights to, until the transaction ends.
SELECT set_config('payments.role', :role, true), set_config('payments.password', :password, true);

-- name: read_user :one
-- Returns the role of this connection.
SELECT current_user::text;

-- name: is_time_first :one
-- Returns whether the key of the payloads begins with their time: it began with random ids once.
SELECT EXISTS (
    SELECT FROM pg_constraint
    WHERE conrelid = 'public.payloads'::regclass AND contype = 'p' AND conkey[1] = (
        SELECT attnum FROM pg_attribute WHERE attrelid = 'public.payloads'::regclass AND attname = 'received_at')
) AS is_time_first;

-- name: list_missing_payload_keys :many
-- Returns the statements that build the new key of each partition that lacks it, and that drop first what an attempt
-- that was interrupted has left. They run while workers write, which no transaction may contain.
SELECT
    format('DROP INDEX CONCURRENTLY IF EXISTS public.%I', relname || '_by_time') AS drop,
    format(
        'CREATE UNIQUE INDEX CONCURRENTLY %I ON public.%I (received_at, namespace, event_id)',
        relname || '_by_time', relname) AS build
FROM pg_inherits
JOIN pg_class AS partition ON partition.oid = inhrelid
WHERE inhparent = 'public.payloads'::regclass AND NOT EXISTS (
    SELECT FROM pg_index
    JOIN pg_class AS found ON found.oid = indexrelid
    WHERE indrelid = partition.oid AND found.relname = partition.relname || '_by_time' AND indisvalid
)
ORDER BY relname;
