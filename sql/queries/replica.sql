-- How far a replica is behind its primary.

-- name: read_position :one
-- Returns how far the primary has written its log, NULL on a server that is a replica itself, and which cluster it is.
-- What is committed now is in the log up to there.
SELECT
    CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_current_wal_lsn()::text END AS position,
    (SELECT system_identifier FROM pg_control_system()) AS cluster;

-- name: read_replay :one
-- Returns whether this server is a replica, of which cluster, whether it has replayed the log up to a position, and the
-- commit that it has replayed last: when it was, and how long ago that is by this server's clock. NULL: not known.
SELECT
    pg_is_in_recovery() AS is_replica,
    (SELECT system_identifier FROM pg_control_system()) AS cluster,
    pg_last_wal_replay_lsn() >= CAST(:position::text AS pg_lsn) AS has_all,
    pg_last_xact_replay_timestamp() AS committed_at,
    clock_timestamp() - pg_last_xact_replay_timestamp() AS behind;
