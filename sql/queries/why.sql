-- What Postgres knows about an event or payment, for `why`. Read-only; by an index wherever there is one.

-- name: list_namespaces :many
-- Returns all namespaces. Skips from one to the next in the primary key, and does not read the events.
WITH RECURSIVE known AS (
    (SELECT namespace FROM events ORDER BY namespace LIMIT 1)
    UNION ALL
    SELECT (
        SELECT events.namespace FROM events WHERE events.namespace > known.namespace ORDER BY events.namespace LIMIT 1
    )
    FROM known
    WHERE known.namespace IS NOT NULL
)
SELECT namespace FROM known WHERE namespace IS NOT NULL;

-- name: find_subjects :many
-- Returns the events, payments and undecodable entries that match an id (of an event, entry, payment or dispute) or
-- these transfer keys.
SELECT 'event' AS kind, namespace, event_id AS id
FROM events
WHERE namespace = ANY (:namespaces::text[]) AND event_id = :id
UNION
SELECT 'event', namespace, event_id FROM duplicates WHERE namespace = ANY (:namespaces) AND entry_id = :id
UNION
SELECT 'event', namespace, event_id FROM reconcile_findings WHERE namespace = ANY (:namespaces) AND event_id = :id
UNION
SELECT 'payment', namespace, resource FROM reconcile_findings WHERE namespace = ANY (:namespaces) AND resource = :id
UNION
SELECT
    CASE WHEN event_id IS NULL THEN 'entry' ELSE 'event' END, coalesce(namespace, ''), coalesce(event_id, entry_id)
FROM dead_letters
WHERE entry_id = :id OR event_id = :id
UNION
SELECT 'payment', namespace, resource FROM dead_letters WHERE resource = :id
UNION
SELECT 'payment', namespace, payment_id FROM payments WHERE namespace = ANY (:namespaces) AND payment_id = :id
UNION
SELECT 'payment', namespace, payment_id FROM transfers WHERE namespace = ANY (:namespaces) AND payment_id = :id
UNION
SELECT 'payment', namespace, payment_id
FROM transfers
WHERE namespace = ANY (:namespaces) AND movement = ANY (:transfer_keys::text[])
UNION
SELECT 'payment', namespace, payment_id
FROM conflicts
WHERE namespace = ANY (:namespaces) AND movement = ANY (:transfer_keys)
UNION
SELECT 'payment', namespace, payment_id FROM held_back WHERE namespace = ANY (:namespaces) AND payment_id = :id
UNION
SELECT 'payment', namespace, payment_id
FROM conflicts
JOIN held_back USING (namespace, payment_id)
WHERE namespace = ANY (:namespaces) AND held_back.movement = ANY (:transfer_keys)
UNION
SELECT 'payment', namespace, payment_id FROM disputes WHERE namespace = ANY (:namespaces) AND dispute_id = :id;

-- name: find_events_of_payments :many
-- Returns the events of payments that another table names: events that moved money, or should have.
SELECT namespace, event_id
FROM transfers
JOIN unnest(:namespace::text[], :payment_id::text[]) AS batch (namespace, payment_id) USING (namespace, payment_id)
UNION
SELECT namespace, event_id
FROM conflicts
JOIN unnest(:namespace, :payment_id) AS batch (namespace, payment_id) USING (namespace, payment_id)
UNION
SELECT namespace, event_id
FROM held_back
JOIN unnest(:namespace, :payment_id) AS batch (namespace, payment_id) USING (namespace, payment_id)
UNION
SELECT dead_letters.namespace, event_id
FROM dead_letters
JOIN unnest(:namespace, :payment_id) AS batch (namespace, payment_id)
    ON batch.namespace = dead_letters.namespace AND payment_id = resource
UNION
SELECT reconcile_findings.namespace, event_id
FROM reconcile_findings
JOIN unnest(:namespace, :payment_id) AS batch (namespace, payment_id)
    ON batch.namespace = reconcile_findings.namespace AND payment_id = resource
LIMIT :limit;

-- name: count_pages :one
-- Returns the sizes of the tables that are scanned from their end, because an index would cost every insert more than
-- it is worth. Their rows are never updated, so that the last pages hold the newest, but for rows that fill the place of
-- those that were moved or removed.
SELECT
    pg_relation_size('events') / current_setting('block_size')::bigint AS events,
    pg_relation_size('events_archive') / current_setting('block_size')::bigint AS events_archive,
    pg_relation_size('duplicates') / current_setting('block_size')::bigint AS duplicates;

-- name: scan_events :many
-- Returns events about a payment, or from an entry, in the pages from `first_page` up to `end_page`.
SELECT namespace, event_id, resource
FROM ONLY events
WHERE ctid >= :first_page AND ctid < :end_page AND (resource = :id OR entry_id = :id);

-- name: scan_events_archive :many
-- Returns such events of the archive.
SELECT namespace, event_id, resource
FROM events_archive
WHERE ctid >= :first_page AND ctid < :end_page AND (resource = :id OR entry_id = :id);

-- name: scan_duplicates :many
-- Returns duplicates of events in the pages from `first_page` up to `end_page`.
SELECT entry_id, duplicates.namespace, duplicates.event_id, source, received_at, recorded_at
FROM duplicates
JOIN unnest(:namespace::text[], :event_id::text[]) AS batch (namespace, event_id) USING (namespace, event_id)
WHERE duplicates.ctid >= :first_page AND duplicates.ctid < :end_page;

-- name: find_oldest_in_pages :one
-- Returns when the oldest event in some pages was committed: how far back a scan has come.
SELECT min(committed_at) AS committed_at FROM ONLY events WHERE ctid >= :first_page AND ctid < :end_page;

-- name: find_oldest_in_pages_of_archive :one
-- Returns when the oldest event in some pages of the archive was committed.
SELECT min(committed_at) AS committed_at FROM events_archive WHERE ctid >= :first_page AND ctid < :end_page;

-- name: read_events :many
-- Returns events with their signed bytes, which are null if their partition was dropped.
SELECT
    source, namespace, provider, event_id, entry_id, type, resource, signed, occurred_at, received_at, committed_at,
    coalesce(events.mode, other.mode) AS mode, account, origin, other.mode IS NOT NULL AS is_of_other_mode, body, headers
FROM unnest(:namespace::text[], :event_id::text[]) AS batch (namespace, event_id)
JOIN events USING (namespace, event_id)
LEFT JOIN (SELECT namespace, event_id, mode FROM events_of_other_mode) AS other USING (namespace, event_id)
LEFT JOIN payloads USING (namespace, event_id, received_at)
ORDER BY committed_at, namespace, event_id;

-- name: read_dead_letters :many
-- Returns the dead letters of events, open or closed, and those of undecodable entries, each by an index.
SELECT id, entry_id, namespace, event_id, source, type, resource, state, reason, attempts, died_at, state_changed_at
FROM dead_letters
JOIN unnest(:namespace::text[], :event_id::text[]) AS batch (namespace, event_id) USING (namespace, event_id)
UNION ALL
SELECT id, entry_id, namespace, event_id, source, type, resource, state, reason, attempts, died_at, state_changed_at
FROM dead_letters
WHERE event_id IS NULL AND entry_id = ANY (:entry_ids::text[])
ORDER BY id;

-- name: read_payments :many
-- Returns payments.
SELECT
    namespace, payment_id, provider, account, status, currency, amount, captured, captured_outside, refunded, disputed,
    disputed_currency, contradicted, first_occurred_at, last_occurred_at
FROM payments
JOIN unnest(:namespace::text[], :payment_id::text[]) AS batch (namespace, payment_id) USING (namespace, payment_id);

-- name: read_transfers :many
-- Returns the transfers of payments, as they happened: a decision first undoes what was booked, then books what is right.
-- Its corrections have one time, and come in the order of their conflicts.
SELECT
    namespace, payment_id, movement, debit_account, credit_account, amount, currency, event_id, dispute_id, booked_at
FROM transfers
JOIN unnest(:namespace::text[], :payment_id::text[]) AS batch (namespace, payment_id) USING (namespace, payment_id)
ORDER BY
    booked_at, CASE WHEN split_part(movement, ':', 1) IN ('undone', 'decided') THEN split_part(movement, ':', 2)::bigint END,
    split_part(movement, ':', 1) = 'decided', movement
LIMIT :limit;

-- name: count_transfers :one
-- Counts the transfers of a payment, up to a limit, from the index alone.
SELECT count(*) AS transfers
FROM (SELECT FROM transfers WHERE namespace = :namespace AND payment_id = :payment_id LIMIT :limit) AS counted;

-- name: read_conflicts :many
-- Returns the conflicts of payments, open or decided.
SELECT
    id, namespace, payment_id, movement, booked_amount, booked_currency, reported_amount, reported_currency, event_id,
    found_at, kept AS decision, decided_at
FROM conflicts
JOIN unnest(:namespace::text[], :payment_id::text[]) AS batch (namespace, payment_id) USING (namespace, payment_id)
ORDER BY id
LIMIT :limit;

-- name: read_held_back :many
-- Returns the facts of payments that were put on hold, released since or not, and what became of asking about them.
SELECT
    held_back.namespace, held_back.event_id, held_back.payment_id, held_back.source, held_back.reason, kind, object,
    amount, currency, movement, held_at, released_at, confirmations.state AS confirmation
FROM held_back
JOIN unnest(:namespace::text[], :payment_id::text[]) AS batch (namespace, payment_id)
    ON batch.namespace = held_back.namespace AND batch.payment_id = held_back.payment_id
LEFT JOIN confirmations
    ON confirmations.namespace = held_back.namespace AND confirmations.event_id = held_back.event_id
ORDER BY held_at, event_id, kind, object
LIMIT :limit;

-- name: read_disputes :many
-- Returns the disputes of payments.
SELECT
    namespace, dispute_id, payment_id, currency, amount, opened, won, lost, withdrawn, reinstated, status, disputed,
    disputed_currency, withdrawn_amount, reinstated_amount, money_currency
FROM disputes
JOIN unnest(:namespace::text[], :payment_id::text[]) AS batch (namespace, payment_id) USING (namespace, payment_id)
ORDER BY dispute_id
LIMIT :limit;

-- name: read_acts :many
-- Returns what people did to these dead letters and payments, or to these events by an act on several; the newest first.
SELECT id, acted_at, actor, face, action, subject, reason, details
FROM operations
WHERE subject = ANY (:subjects::text[]) OR details -> 'events' ?| :events::text[]
ORDER BY id DESC
LIMIT :limit;
