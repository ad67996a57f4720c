-- Comparisons with a provider's list that a person asks for: the reconciler, which has the credentials, does them.

-- name: ask_for_run :one
-- Makes a source due at once, for whom and why; no row if it is compared now.
INSERT INTO reconciliations AS known (source, namespace, next_at, asked_at, asked_by, asked_reason, asked_repair)
VALUES (:source, :namespace, now(), now(), :actor, :reason, :repair)
ON CONFLICT (source) DO UPDATE
SET next_at = now(), asked_at = now(), asked_by = excluded.asked_by, asked_reason = excluded.asked_reason,
    asked_repair = excluded.asked_repair
WHERE known.claimed_until IS NULL OR known.claimed_until < now()
RETURNING source;

-- name: read_requests :many
-- Returns what was asked for and not done yet. A repair begins before the oldest missing event, up to which the source
-- is complete.
SELECT
    source, asked_at AS at, asked_by AS actor, asked_reason AS reason, asked_repair AS repair,
    CASE WHEN asked_repair AND complete_until < compared_until THEN complete_until - interval '1 hour' END AS since
FROM reconciliations
WHERE asked_at IS NOT NULL;

-- name: forget_request :exec
-- Forgets what was done, unless somebody has asked again meanwhile.
UPDATE reconciliations
SET asked_at = NULL, asked_by = NULL, asked_reason = NULL, asked_repair = NULL
WHERE source = :source AND asked_at = :at;
