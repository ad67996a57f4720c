-- The bytes and headers of one event, for people who look at it.

-- name: read_payload :one
-- Returns what was signed; no row if the event is not applied, or its payload is not kept any more.
SELECT source, body, headers
FROM events
JOIN payloads USING (namespace, event_id, received_at)
WHERE namespace = :namespace AND event_id = :event_id;

-- name: read_dead_letter_details :many
-- Returns the latest dead letters of an event with what a list leaves out, the latest first.
SELECT id, traceback, field_names, field_values
FROM dead_letters
WHERE namespace = :namespace AND event_id = :event_id
ORDER BY id DESC
LIMIT :limit;
