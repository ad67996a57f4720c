-- name: bury :exec
-- Writes an entry that cannot be applied, with its reason, before it is acknowledged. Not where its event is applied:
-- another worker was luckier, while this one was stopped.
INSERT INTO dead_letters (
    entry_id, namespace, event_id, source, type, resource, reason, traceback, attempts, field_names, field_values
)
SELECT :entry_id, :namespace, :event_id, :source, :type, :resource, :reason, :traceback, :attempts, :field_names, :field_values
WHERE NOT EXISTS (SELECT FROM events WHERE events.namespace = :namespace AND events.event_id = :event_id)
ON CONFLICT (entry_id) DO NOTHING;

-- name: find_buried :many
-- Which of these entries lie in the dead letters.
SELECT entry_id FROM dead_letters WHERE entry_id = ANY (:entry_ids::text[]);

-- name: settle_dead_letters :exec
-- Closes the open dead letters of events that have just been applied from a later entry.
UPDATE dead_letters
SET state = 'replayed', state_changed_at = now()
FROM unnest(:namespace::text[], :event_id::text[]) AS applied (namespace, event_id)
WHERE dead_letters.state = 'open'
  AND dead_letters.namespace = applied.namespace
  AND dead_letters.event_id = applied.event_id;

-- name: list_dead_letters :many
-- The open ones, the oldest first.
SELECT id, entry_id, namespace, event_id, source, type, resource, reason, attempts, died_at
FROM dead_letters
WHERE state = 'open'
ORDER BY id
LIMIT :limit;

-- name: count_open_dead_letters :one
-- For `make status` and the metric: how many events wait for a person.
SELECT count(*) FROM dead_letters WHERE state = 'open';

-- name: find_dead_letters :many
-- The open ones an operator means by a number, an entry id or an event id; all of them where the argument is null.
-- In pages, the oldest first: those after a number (`after`), at most so many (`limit`).
SELECT id, entry_id, namespace, event_id, source, type, resource, reason, traceback, attempts, died_at,
       field_names, field_values
FROM dead_letters
WHERE state = 'open'
  AND (:wanted::text IS NULL OR id::text = :wanted OR entry_id = :wanted OR event_id = :wanted)
  AND id > :after
ORDER BY id
LIMIT :limit;

-- name: hold_dead_letter :one
-- Keeps an open dead letter from being closed by somebody else until this transaction ends; no row if it was closed.
SELECT id FROM dead_letters WHERE id = :id AND state = 'open' FOR UPDATE;

-- name: close_dead_letter :one
-- Moves an open dead letter to `replayed` or `discarded`; no row where somebody else was faster.
UPDATE dead_letters
SET state = :state, state_changed_at = now()
WHERE id = :id AND state = 'open'
RETURNING id;
