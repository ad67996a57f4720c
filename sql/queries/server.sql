-- Which server answers.

-- name: read_server_start :one
-- Returns when the server started, to the microsecond: another server, or a restarted one, has another time.
SELECT pg_postmaster_start_time();
