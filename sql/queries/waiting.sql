-- What waits for a person, for the workers' gauges, the console's first page and messages: each count stops at a limit.

-- name: count_waiting :one
-- Counts what waits for a person, each kind up to a limit, so that a look costs as much when much waits.
SELECT
    (SELECT count(*) FROM (SELECT FROM dead_letters WHERE state = 'open' LIMIT :limit) AS counted) AS dead_letters,
    (SELECT count(*) FROM (SELECT FROM conflicts WHERE kept IS NULL LIMIT :limit) AS counted) AS conflicts,
    (
        SELECT count(*)
        FROM (SELECT FROM held_back WHERE released_at IS NULL AND reason = 'unsigned' LIMIT :limit) AS counted
    ) AS unsigned,
    (
        SELECT count(*)
        FROM (SELECT FROM held_back WHERE released_at IS NULL AND reason = 'conflict' LIMIT :limit) AS counted
    ) AS by_conflict,
    (SELECT count(*) FROM (SELECT FROM events_of_other_mode LIMIT :limit) AS counted) AS other_mode,
    (
        SELECT count(*)
        FROM (
            SELECT FROM restores
            WHERE (key_prefix = :key_prefix OR starts_with(key_prefix, :key_prefix || ':{'))
              AND acknowledgement IS NULL
            LIMIT :limit
        ) AS counted
    ) AS restores;

-- name: read_audit :one
-- Returns the result of the last audit, nulls if there was none, and when the tables were made: since then one is due.
SELECT
    (SELECT findings FROM audits WHERE key_prefix = :key_prefix) AS findings,
    (SELECT finished_at FROM audits WHERE key_prefix = :key_prefix) AS finished_at,
    (SELECT min(applied) FROM public._pogo_migration) AS installed_at;

-- name: keep_audit :exec
-- Keeps the result of an audit, so that workers can show it, and an alert can ask when the last one was.
INSERT INTO audits (key_prefix, findings, rules)
VALUES (:key_prefix, :findings, :rules)
ON CONFLICT (key_prefix) DO UPDATE
SET findings = excluded.findings, rules = excluded.rules, finished_at = now();
