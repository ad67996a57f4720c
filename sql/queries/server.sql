-- Which server answers.

-- name: read_server_start :one
-- Returns when the server started, to the microsecond: another server, or a restarted one, has another time.
SELECT pg_postmaster_start_time();

-- name: find_lost_settings :many
-- Returns the settings that this session has another value for than wanted; both values as Postgres writes them.
WITH present AS MATERIALIZED (
    SELECT name, wanted, current_setting(name) AS present
    FROM unnest(:names::text[], :wanted::text[]) AS setting (name, wanted)
),
compared AS MATERIALIZED (  -- what is set here ends with this statement
    SELECT name, present, set_config(name, wanted, true) AS wanted FROM present
)
SELECT name, present, wanted FROM compared WHERE present <> wanted ORDER BY name;
