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
