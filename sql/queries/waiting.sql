-- What waits for a person, for the workers' gauges: each count reads a partial index, and stops at a limit.

-- name: read_waiting :one
-- Returns what waits for a person, each count up to `limit`, and the result of the last audit; null if there was none.
SELECT
    (SELECT count(*) FROM (SELECT FROM dead_letters WHERE state = 'open' LIMIT :limit) AS waiting) AS dead_letters,
    (SELECT count(*) FROM (SELECT FROM conflicts WHERE kept IS NULL LIMIT :limit) AS waiting) AS conflicts,
    (
        SELECT count(*)
        FROM (SELECT FROM held_back WHERE released_at IS NULL AND reason = 'unsigned' LIMIT :limit) AS waiting
    ) AS unsigned,
    (
        SELECT count(*)
        FROM (SELECT FROM held_back WHERE released_at IS NULL AND reason = 'conflict' LIMIT :limit) AS waiting
    ) AS contradicted,
    (SELECT count(*) FROM restores WHERE key_prefix = :key_prefix AND acknowledgement IS NULL) AS restores,
    (SELECT findings FROM audits WHERE key_prefix = :key_prefix) AS audit_findings,
    (SELECT finished_at FROM audits WHERE key_prefix = :key_prefix) AS audited_at;

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
