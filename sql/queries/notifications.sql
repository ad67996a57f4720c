-- What the receiver of notifications knows, and what is to be sent to it.

-- name: make_rows :exec
-- Makes the row of each kind that has none, so that there is something to lock.
INSERT INTO notifications (key_prefix, kind)
SELECT :key_prefix, kind FROM unnest(:kinds::text []) AS kind
ON CONFLICT DO NOTHING;

-- name: lock_rows :many
-- Returns the rows that no other program works on now, and locks them until the transaction ends.
SELECT
    kind,
    announced,
    announced_at,
    announced_count,
    waiting_since,
    differs_since,
    message_id,
    message,
    attempts,
    next_attempt_at
FROM notifications
WHERE key_prefix = :key_prefix AND kind = ANY(:kinds::text [])
FOR UPDATE SKIP LOCKED;

-- name: lock_due :one
-- Returns one message that is due and that no other program sends now, and locks it until the transaction ends.
SELECT
    kind,
    announced,
    announced_at,
    announced_count,
    waiting_since,
    differs_since,
    message_id,
    message,
    attempts,
    next_attempt_at
FROM notifications
WHERE key_prefix = :key_prefix AND next_attempt_at <= :now
ORDER BY next_attempt_at, kind
LIMIT 1
FOR UPDATE SKIP LOCKED;

-- name: keep :exec
-- Keeps what the receiver knows about one kind, and what is to be sent to it.
UPDATE notifications
SET
    announced = :announced,
    announced_at = :announced_at,
    announced_count = :announced_count,
    waiting_since = :waiting_since,
    differs_since = :differs_since,
    message_id = :message_id,
    message = :message,
    attempts = :attempts,
    next_attempt_at = :next_attempt_at
WHERE key_prefix = :key_prefix AND kind = :kind;
