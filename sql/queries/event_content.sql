-- The bytes and headers of one event, for people who look at it.

-- name: read_payload :one
-- Returns what was signed; no row if the event is not applied, or its payload is not kept any more.
SELECT source, body, headers
FROM events
JOIN payloads USING (namespace, event_id, received_at)
WHERE namespace = :namespace AND event_id = :event_id;

-- name: read_tracebacks :many
-- Returns the latest dead letters of an event with what a list leaves out, the latest first. By time, not by number:
-- the numbers' index would be read from its end until an event's are found.
SELECT id, traceback
FROM dead_letters
WHERE namespace = :namespace AND event_id = :event_id
ORDER BY died_at DESC, id DESC
LIMIT :limit;

-- name: read_dead_letter_fields :many
-- Returns the fields of the entry that a dead letter keeps.
SELECT name, value
FROM dead_letters, unnest(field_names, field_values) AS entry (name, value)
WHERE id = :id;
