-- Applying a batch of events. Every array parameter has one element per event, in the same order.

-- name: lock_resources :one
-- Excludes every other transaction from these resources until this one ends, even if the Redis locks have expired.
-- Sorted, so that two batches cannot deadlock. Once they are locked, payments come back from the archive: the holder of
-- a payment's lock finds it and its transfers in ONLY payments and ONLY transfers. Returns which server this is, by
-- its start: another one may have been restored from an older copy. Until the end of the transaction rows are looked up
-- by indexes: PostgreSQL takes a table from which others inherit for empty as long as it is small, and a plan that reads
-- all of it is used for a while after it has grown. Where there is no index, the plan is as dear as one that PostgreSQL
-- before 18 compiles first: it must not. And triggers are spared what is for workers that know no archive.
SELECT
    started_at, locks, set_config('enable_seqscan', 'off', true) AS seqscan,
    set_config('jit', 'off', true) AS jit, set_config('payments.archive', 'known', true) AS archive,
    CASE WHEN locks > 0 THEN bring_back_payments(:namespace::text[], :resource::text[]) END AS brought_back
FROM (
    SELECT pg_postmaster_start_time() AS started_at, count(pg_advisory_xact_lock(key)) AS locks
    FROM (
        SELECT DISTINCT hashtextextended(namespace || ':' || resource, 0) AS key
        FROM unnest(:namespace::text[], :resource::text[]) AS batch (namespace, resource)
        ORDER BY key
    ) AS keys
    OFFSET 0
) AS locked;

-- name: claim_events :many
-- Claims the events that nobody has applied. This transaction, and no other, applies the entries that are returned. An
-- entry that was dead-lettered meanwhile is skipped: its worker was paused, or could not ack. A dead letter of another
-- event does not count: a Redis restored from an older copy may have given its entry's id again. Events of the archive
-- are taken back by a function, which sees what was moved there while this statement waited for the move.
WITH inserted AS (
    INSERT INTO events (
        namespace, event_id, source, provider, entry_id, type, resource, signed, occurred_at, received_at, mode, account,
        origin
    )
    SELECT
        namespace, event_id, source, provider, entry_id, type, resource, signed, occurred_at, received_at, mode, account,
        origin
    FROM unnest(
        :namespace::text[], :event_id::text[], :source::text[], :provider::text[], :entry_id::text[], :type::text[],
        :resource::text[], :signed::text[], :occurred_at::timestamptz[], :received_at::timestamptz[], :mode::text[],
        :account::text[], :origin::text[]
    ) AS batch (
        namespace, event_id, source, provider, entry_id, type, resource, signed, occurred_at, received_at, mode, account,
        origin
    )
    WHERE NOT EXISTS (
        SELECT FROM dead_letters
        WHERE dead_letters.entry_id = batch.entry_id
          AND dead_letters.namespace = batch.namespace AND dead_letters.event_id = batch.event_id
    )
    ORDER BY namespace, event_id
    ON CONFLICT (namespace, event_id) DO NOTHING
    RETURNING namespace, event_id, entry_id
),
archived AS MATERIALIZED (
    SELECT forgotten.namespace, forgotten.event_id
    FROM (SELECT array_agg(namespace) AS namespaces, array_agg(event_id) AS event_ids FROM inserted) AS keys
    CROSS JOIN LATERAL forget_archived_events(keys.namespaces, keys.event_ids) AS forgotten
)
SELECT entry_id
FROM inserted
WHERE NOT EXISTS (
    SELECT FROM archived WHERE archived.namespace = inserted.namespace AND archived.event_id = inserted.event_id
);

-- name: record_other_mode :exec
-- Records events just claimed that are of the other mode than their source's: they move no money.
INSERT INTO events_of_other_mode (namespace, event_id, source, mode, resource)
SELECT namespace, event_id, source, mode, resource
FROM unnest(:namespace::text[], :event_id::text[], :source::text[], :mode::text[], :resource::text[])
    AS batch (namespace, event_id, source, mode, resource);

-- name: find_payments_of_other_mode :many
-- Returns those of these payments that events of the other mode are about, with that mode.
SELECT DISTINCT namespace, resource, mode
FROM unnest(:namespace::text[], :resource::text[]) AS batch (namespace, resource)
JOIN events_of_other_mode USING (namespace, resource);

-- name: count_other_mode :many
-- Counts the events of the other mode, by source and the mode that they have.
SELECT source, mode, count(*) AS events, max(recorded_at) AS last_recorded_at
FROM events_of_other_mode
GROUP BY source, mode
ORDER BY source, mode;

-- name: insert_payloads :exec
-- Keeps the signed bytes of the events just claimed.
INSERT INTO payloads (namespace, event_id, received_at, headers, body)
SELECT namespace, event_id, received_at, headers, body
FROM unnest(:namespace::text[], :event_id::text[], :received_at::timestamptz[], :headers::jsonb[], :body::bytea[])
    AS batch (namespace, event_id, received_at, headers, body);

-- name: record_duplicates :exec
-- Records entries whose event was applied from another entry. An entry that is read again after its own commit is not a
-- duplicate and is skipped; so is a dead-lettered one.
INSERT INTO duplicates (entry_id, namespace, event_id, source, received_at)
SELECT batch.entry_id, batch.namespace, batch.event_id, batch.source, batch.received_at
FROM unnest(
    :entry_id::text[], :namespace::text[], :event_id::text[], :source::text[], :received_at::timestamptz[]
) AS batch (entry_id, namespace, event_id, source, received_at)
JOIN events USING (namespace, event_id)
WHERE events.entry_id <> batch.entry_id
  AND NOT EXISTS (SELECT FROM dead_letters WHERE dead_letters.entry_id = batch.entry_id)
ON CONFLICT (entry_id) DO NOTHING;

-- name: is_transaction_open :one
-- Returns whether this is still the transaction that claimed the events: a handler may have ended it. Fails if a
-- statement failed in it, because COMMIT would then roll back without an error.
SELECT pg_current_xact_id_if_assigned() IS NOT NULL AS is_open;

-- name: arm_commit_guard :exec
-- Makes Postgres refuse to commit this transaction: the row references one that never exists.
INSERT INTO commit_guard DEFAULT VALUES;

-- name: disarm_commit_guard :one
-- Allows the commit again. Returns no row if a handler has ended the transaction in which the guard was armed.
DELETE FROM commit_guard WHERE transaction_id = pg_current_xact_id() RETURNING true AS is_same;

-- name: ensure_payload_partitions :exec
-- Creates the missing partitions of this month and the next ones.
SELECT ensure_payload_partitions(:months_ahead::integer);

-- name: find_applied_events :many
-- Returns applied events with their signed bytes, which are null if their partition was dropped.
SELECT
    source, namespace, provider, event_id, type, resource, occurred_at, received_at, signed, mode, account,
    origin, payloads.body, payloads.headers
FROM unnest(:namespace::text[], :event_id::text[]) AS batch (namespace, event_id)
JOIN events USING (namespace, event_id)
LEFT JOIN payloads USING (namespace, event_id, received_at);
