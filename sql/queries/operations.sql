-- The operators' log. Its trigger numbers each row and chains it to the one before.

-- name: record_operation :one
-- Writes who did what, in the transaction that does it; the last statement there, because it holds the log until the end.
INSERT INTO operations (actor, face, action, subject, reason, touched, details)
VALUES (:actor, :face, :action, :subject, :reason, :touched, :details::jsonb)
RETURNING id;

-- name: may_record :one
-- Asks before an act reaches beyond Postgres whether it could be recorded.
SELECT has_table_privilege('operations', 'INSERT') AS may_record;

-- name: list_operations :many
-- Lists one page of the log, the newest first: those before a number, from the end if `before` is null; of actors whose
-- names begin so, of one action, or with a text in what they are about, if these are not null.
SELECT id, acted_at, actor, face, action, subject, reason, touched, details, previous_hash, hash
FROM operations
WHERE id < coalesce(:before::bigint, 9223372036854775807)
  AND (:actor::text IS NULL OR starts_with(actor, :actor))
  AND (:action::text IS NULL OR action = :action)
  AND (:about::text IS NULL OR strpos(subject, :about) > 0 OR strpos(details::text, :about) > 0)
ORDER BY id DESC
LIMIT :limit;

-- name: read_log_end :one
-- Returns the last row's number, which is how many there are, and its hash: what a person keeps elsewhere.
SELECT id AS count, hash AS last_hash
FROM operations
ORDER BY id DESC
LIMIT 1;
