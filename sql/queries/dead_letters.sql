-- Entries that could not be applied, until a person replays or discards them.

-- name: insert_dead_letter :exec
-- Writes an entry that cannot be applied, with its reason, before it is acknowledged. Skipped if its event was applied
-- meanwhile by another worker.
INSERT INTO dead_letters (
    entry_id, namespace, event_id, source, type, resource, reason, traceback, attempts, field_names, field_values
)
SELECT
    :entry_id, :namespace, :event_id, :source, :type, :resource, :reason, :traceback, :attempts, :field_names,
    :field_values
WHERE NOT EXISTS (SELECT FROM events WHERE events.namespace = :namespace AND events.event_id = :event_id)
ON CONFLICT (entry_id) DO NOTHING;

-- name: find_dead_lettered :many
-- Returns those of these entries that are in the dead letters.
SELECT entry_id FROM dead_letters WHERE entry_id = ANY (:entry_ids::text[]);

-- name: close_replayed_dead_letters :exec
-- Closes the open dead letters of events that have just been applied from a later entry.
UPDATE dead_letters
SET state = 'replayed', state_changed_at = now()
FROM unnest(:namespace::text[], :event_id::text[]) AS applied (namespace, event_id)
WHERE dead_letters.state = 'open'
  AND dead_letters.namespace = applied.namespace
  AND dead_letters.event_id = applied.event_id;

-- name: list_dead_letters :many
-- Lists the open ones, the oldest first.
SELECT id, entry_id, namespace, event_id, source, type, resource, reason, attempts, died_at
FROM dead_letters
WHERE state = 'open'
ORDER BY id
LIMIT :limit;

-- name: count_open_dead_letters :one
-- Counts the events that wait for a person: for `make status` and the metric.
SELECT count(*) FROM dead_letters WHERE state = 'open';

-- name: measure_open_dead_letters :one
-- Counts the open ones, and returns the last one's number: an act on all of them touches those, and none that dies later.
SELECT count(*) AS count, coalesce(max(id), 0) AS last_id FROM dead_letters WHERE state = 'open';

-- name: find_dead_letters :many
-- Returns a page of the open ones, the oldest first: those with this number, entry id or event id (all if null), after
-- a number.
SELECT id, entry_id, namespace, event_id, source, type, resource, reason, traceback, attempts, died_at,
       field_names, field_values
FROM dead_letters
WHERE state = 'open'
  AND (:wanted::text IS NULL OR id::text = :wanted OR entry_id = :wanted OR event_id = :wanted)
  AND id > :after
ORDER BY id
LIMIT :limit;

-- name: read_open_dead_letters :many
-- Returns those of these dead letters that are open, in full.
SELECT id, entry_id, namespace, event_id, source, type, resource, reason, traceback, attempts, died_at,
       field_names, field_values
FROM dead_letters
WHERE state = 'open' AND id = ANY (:ids::bigint[])
ORDER BY id;

-- name: lock_dead_letter :one
-- Locks an open dead letter until this transaction ends, so that nobody else closes it; no row if it is closed.
SELECT id FROM dead_letters WHERE id = :id AND state = 'open' FOR UPDATE;

-- name: close_dead_letter :one
-- Moves an open dead letter to `replayed` or `discarded`; no row if somebody else was faster.
UPDATE dead_letters
SET state = :state, state_changed_at = now()
WHERE id = :id AND state = 'open'
RETURNING id;

-- name: group_open_dead_letters :many
-- Counts the open ones by source and by what their reasons have in common: words with a digit or an @ in them, such as
-- ids, amounts, times and addresses, are left out. The largest groups first. Reads the oldest `rows_max` only. The list
-- of a group shortens reasons in the same way.
SELECT
    source, reason_group, count(*) AS dead_letters, min(died_at) AS oldest_at, max(died_at) AS newest_at,
    sum(count(*)) OVER ()::bigint AS read, count(*) OVER () AS groups
FROM (
    SELECT source, died_at, regexp_replace(left(reason, 300), '\S*[0-9@]\S*', '…', 'g') AS reason_group
    FROM dead_letters
    WHERE state = 'open'
    ORDER BY id
    LIMIT :rows_max
) AS oldest
GROUP BY source, reason_group
ORDER BY dead_letters DESC, source, reason_group
LIMIT :limit;

-- name: list_dead_letters_of_group :many
-- Lists open ones after a number and up to another one, the oldest first: of one group, or all if it is null.
SELECT id, entry_id, namespace, event_id, source, type, resource, reason, attempts, died_at
FROM dead_letters
WHERE state = 'open' AND id > :after AND id <= :up_to
  AND (
      :reason_group::text IS NULL
      OR (
          regexp_replace(left(reason, 300), '\S*[0-9@]\S*', '…', 'g') = :reason_group
          AND source IS NOT DISTINCT FROM :source::text
      )
  )
ORDER BY id
LIMIT :limit;
