-- Erasing the personal data of one payment or event: what is found, what keeps it from being erased, and the act.

-- name: find_namespaces_of_payment :many
-- Returns which of these namespaces know a payment; also others whose dead letters are about it.
SELECT namespace FROM payments WHERE namespace = ANY (:namespaces::text[]) AND payment_id = :id
UNION
SELECT namespace FROM events WHERE namespace = ANY (:namespaces) AND resource = :id
UNION
SELECT namespace FROM dead_letters WHERE namespace IS NOT NULL AND resource = :id
ORDER BY namespace;

-- name: find_namespaces_of_event :many
-- Returns which of these namespaces know an event; also others that have it as a dead letter.
SELECT namespace FROM events WHERE namespace = ANY (:namespaces::text[]) AND event_id = :id
UNION
SELECT namespace FROM dead_letters WHERE namespace IS NOT NULL AND event_id = :id
ORDER BY namespace;

-- name: find_events_of_payment :many
-- Returns every event about a payment: that names it, that moved its money or should have, or that was dead-lettered.
SELECT event_id FROM events WHERE namespace = :namespace AND resource = :payment_id
UNION
SELECT event_id FROM transfers WHERE namespace = :namespace AND payment_id = :payment_id
UNION
SELECT event_id FROM conflicts WHERE namespace = :namespace AND payment_id = :payment_id
UNION
SELECT event_id FROM held_back WHERE namespace = :namespace AND payment_id = :payment_id
UNION
SELECT event_id FROM dead_letters WHERE namespace = :namespace AND resource = :payment_id AND event_id IS NOT NULL
ORDER BY event_id;

-- name: count_erasable :one
-- Counts what is kept of these events of a namespace: payloads, and closed dead letters that were not erased before.
SELECT
    (
        SELECT count(*)
        FROM events
        JOIN payloads USING (received_at, namespace, event_id)
        WHERE namespace = :namespace AND event_id = ANY (:event_ids::text[])
    ) AS payloads,
    (
        SELECT count(*)
        FROM dead_letters
        WHERE namespace = :namespace AND event_id = ANY (:event_ids) AND state <> 'open' AND reason <> :erased
    ) AS dead_letters;

-- name: find_reason_to_keep :one
-- Returns an open dead letter of these events, and an event whose payload a decision will read again; null without one.
SELECT
    (
        SELECT min(id)
        FROM dead_letters
        WHERE namespace = :namespace AND event_id = ANY (:event_ids::text[]) AND state = 'open'
    ) AS open_dead_letter,
    (
        SELECT min(event_id) FROM payloads_in_use() WHERE namespace = :namespace AND event_id = ANY (:event_ids)
    ) AS event_in_use;

-- name: find_resources :many
-- Returns the payments that these events are about, to be locked.
SELECT DISTINCT resource FROM events WHERE namespace = :namespace AND event_id = ANY (:event_ids::text[]);

-- name: erase_payloads :one
-- Erases the payloads of these events, body and headers, and returns their number.
SELECT erase_payloads(:namespaces::text[], :event_ids::text[]) AS erased;

-- name: erase_dead_letters :many
-- Erases the fields, traceback and reason of closed dead letters of these events, and returns their numbers.
UPDATE dead_letters
SET field_names = '{}', field_values = '{}', traceback = '', reason = :erased
WHERE namespace = :namespace AND event_id = ANY (:event_ids::text[]) AND state <> 'open' AND reason <> :erased
RETURNING id;
