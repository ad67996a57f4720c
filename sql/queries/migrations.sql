-- The schema's own history. The table is made and kept by pogo-core, which runs the files of sql/migrations.

-- name: lock_migrations :exec
-- Lets one migration run at a time, whoever else starts one. Of the session: it ends with the connection.
SELECT pg_advisory_lock(hashtextextended('payments:migrations', 0));

-- name: unlock_migrations :exec
-- Lets the next one run, while this connection lives on.
SELECT pg_advisory_unlock(hashtextextended('payments:migrations', 0));

-- name: has_migrations :one
-- Whether anything was ever applied here: a fresh database does not even have the table to ask.
SELECT to_regclass('public._pogo_migration') IS NOT NULL AS has_migrations;

-- name: list_applied_migrations :many
-- What was applied and when, the oldest first.
SELECT migration_id, applied FROM public._pogo_migration WHERE schema_name = :schema ORDER BY applied, migration_id;
