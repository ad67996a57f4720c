-- Applying a batch of events. Every parameter is an array, one element per event, in the same order.

-- name: lock_resources :one
-- Keeps every other transaction away from these resources until this one ends, whatever became of the Redis locks.
-- Sorted, so that two batches never wait for each other in a circle.
SELECT count(pg_advisory_xact_lock(key))
FROM (
    SELECT DISTINCT hashtextextended(namespace || ':' || resource, 0) AS key
    FROM unnest(:namespace::text[], :resource::text[]) AS batch (namespace, resource)
    ORDER BY key
) AS keys;

-- name: claim_events :many
-- Claims the events that nobody has applied: the entries returned are ours to apply, in this transaction only. An entry
-- that lies in the dead letters is left out: somebody buried it while its worker was stopped, or before it could ack.
INSERT INTO events (namespace, event_id, source, provider, entry_id, type, resource, signed, occurred_at, received_at)
SELECT namespace, event_id, source, provider, entry_id, type, resource, signed, occurred_at, received_at
FROM unnest(
    :namespace::text[], :event_id::text[], :source::text[], :provider::text[], :entry_id::text[], :type::text[], :resource::text[], :signed::text[],
    :occurred_at::timestamptz[], :received_at::timestamptz[]
) AS batch (namespace, event_id, source, provider, entry_id, type, resource, signed, occurred_at, received_at)
WHERE NOT EXISTS (SELECT FROM dead_letters WHERE dead_letters.entry_id = batch.entry_id)
ORDER BY namespace, event_id
ON CONFLICT (namespace, event_id) DO NOTHING
RETURNING entry_id;

-- name: insert_payloads :exec
-- Keeps the signed bytes of the events just claimed.
INSERT INTO payloads (namespace, event_id, received_at, headers, body)
SELECT namespace, event_id, received_at, headers, body
FROM unnest(:namespace::text[], :event_id::text[], :received_at::timestamptz[], :headers::jsonb[], :body::bytea[])
    AS batch (namespace, event_id, received_at, headers, body);

-- name: record_duplicates :exec
-- Records entries whose event was applied from another entry. An entry that is read again after its own commit is
-- not a duplicate, and is left out; so is one that lies in the dead letters.
INSERT INTO duplicates (entry_id, namespace, event_id, source, received_at)
SELECT batch.entry_id, batch.namespace, batch.event_id, batch.source, batch.received_at
FROM unnest(:entry_id::text[], :namespace::text[], :event_id::text[], :source::text[], :received_at::timestamptz[])
    AS batch (entry_id, namespace, event_id, source, received_at)
JOIN events USING (namespace, event_id)
WHERE events.entry_id <> batch.entry_id
  AND NOT EXISTS (SELECT FROM dead_letters WHERE dead_letters.entry_id = batch.entry_id)
ON CONFLICT (entry_id) DO NOTHING;

-- name: is_transaction_open :one
-- Whether this is still the transaction that claimed the events: a handler may have ended it. An error where a statement
-- failed in it: COMMIT would then undo everything, and not say so.
SELECT pg_current_xact_id_if_assigned() IS NOT NULL AS is_open;

-- name: begin_handling :exec
-- From here on Postgres refuses to commit this transaction: its row waits for one that there never is.
INSERT INTO unfinished DEFAULT VALUES;

-- name: end_handling :one
-- Lets it be committed. No row where this is not the transaction in which handling was begun: a handler has ended that.
DELETE FROM unfinished WHERE transaction_id = pg_current_xact_id() RETURNING true AS is_same;

-- name: ensure_payload_partitions :exec
-- Makes the partitions of this month and the next ones, where they are missing.
SELECT ensure_payload_partitions(:months_ahead::integer);

-- name: find_kept :many
-- Events that were applied, with the bytes that were signed; without, where their partition was dropped.
SELECT
    source, namespace, provider, event_id, type, resource, occurred_at, received_at, signed, payloads.body,
    payloads.headers
FROM unnest(:namespace::text[], :event_id::text[]) AS batch (namespace, event_id)
JOIN events USING (namespace, event_id)
LEFT JOIN payloads USING (namespace, event_id, received_at);
