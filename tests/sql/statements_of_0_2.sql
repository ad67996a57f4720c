-- The statements about events and money of version 0.2.0, as its workers execute them on today's schema.

-- name: lock_resources :one
-- Excludes every other transaction from these resources until this one ends, even if the Redis locks have expired.
-- Sorted, so that two batches cannot deadlock.
SELECT count(pg_advisory_xact_lock(key))
FROM (
    SELECT DISTINCT hashtextextended(namespace || ':' || resource, 0) AS key
    FROM unnest(:namespace::text[], :resource::text[]) AS batch (namespace, resource)
    ORDER BY key
) AS keys;

-- name: claim_events :many
-- Claims the events that nobody has applied. This transaction, and no other, applies the entries that are returned. An
-- entry that was dead-lettered meanwhile is skipped: its worker was paused, or could not ack.
INSERT INTO events (namespace, event_id, source, provider, entry_id, type, resource, signed, occurred_at, received_at)
SELECT namespace, event_id, source, provider, entry_id, type, resource, signed, occurred_at, received_at
FROM unnest(
    :namespace::text[], :event_id::text[], :source::text[], :provider::text[], :entry_id::text[], :type::text[],
    :resource::text[], :signed::text[], :occurred_at::timestamptz[], :received_at::timestamptz[]
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
    source, namespace, provider, event_id, type, resource, occurred_at, received_at, signed, payloads.body,
    payloads.headers
FROM unnest(:namespace::text[], :event_id::text[]) AS batch (namespace, event_id)
JOIN events USING (namespace, event_id)
LEFT JOIN payloads USING (namespace, event_id, received_at);

-- name: book_facts :one
-- Merges facts into their payments and books their transfers, each once, whichever event reported it first. A transfer
-- is not booked if its payment is stopped by a conflict, or has another currency. Returns the transfers that were
-- booked now, as `<namespace>:<key>`, and whether a payment has been reported in two currencies. `adds_to` names the
-- payment's total that a transfer changes.
WITH reported AS (
    SELECT *
    FROM unnest(
        :namespace::text[], :payment_id::text[], :provider::text[], :event_id::text[], :occurred_at::timestamptz[],
        :currency::text[], :amount::bigint[], :refunds_total::bigint[], :authorized::boolean[], :succeeded::boolean[],
        :failed::boolean[], :canceled::boolean[], :capture_failed::boolean[], :transfer_key::text[],
        :transfer_amount::bigint[], :adds_to::text[], :debit_account::text[], :credit_account::text[]
    ) AS fact (
        namespace, payment_id, provider, event_id, occurred_at, currency, amount, refunds_total, authorized, succeeded,
        failed, canceled, capture_failed, movement, transfer_amount, adds_to, debit_account, credit_account
    )
),
booked AS (
    INSERT INTO transfers (
        namespace, movement, payment_id, debit_account, credit_account, amount, currency, event_id
    )
    SELECT namespace, movement, payment_id, debit_account, credit_account, transfer_amount, currency, event_id
    FROM reported
    WHERE movement IS NOT NULL
      AND NOT EXISTS (
          SELECT FROM conflicts
          WHERE conflicts.kept IS NULL
            AND conflicts.namespace = reported.namespace AND conflicts.payment_id = reported.payment_id)
      AND NOT EXISTS (
          SELECT FROM payments
          WHERE payments.namespace = reported.namespace AND payments.payment_id = reported.payment_id
            AND payments.currency <> reported.currency)
    ON CONFLICT (namespace, movement) DO NOTHING
    RETURNING namespace, movement
),
counted AS (
    SELECT reported.*, CASE WHEN booked.movement IS NOT NULL THEN adds_to END AS counts_in
    FROM reported
    LEFT JOIN booked USING (namespace, movement)
),
merged AS (
    INSERT INTO payments AS known (
        namespace, payment_id, provider, currency, amount, captured, refunds_total, refunds_made, refunds_failed,
        authorized, succeeded, failed, canceled, capture_failed, contradicted, first_occurred_at, last_occurred_at
    )
    SELECT
        namespace, payment_id, min(provider), min(currency), max(amount),
        coalesce(sum(
            CASE counts_in WHEN 'captured' THEN transfer_amount WHEN 'captures_failed' THEN -transfer_amount END), 0),
        max(refunds_total),
        coalesce(sum(transfer_amount) FILTER (WHERE counts_in = 'refunds_made'), 0),
        coalesce(sum(transfer_amount) FILTER (WHERE counts_in = 'refunds_failed'), 0),
        bool_or(authorized), bool_or(succeeded), bool_or(failed), bool_or(canceled), bool_or(capture_failed),
        min(currency) <> max(currency), min(occurred_at), max(occurred_at)
    FROM counted
    GROUP BY namespace, payment_id
    ORDER BY namespace, payment_id
    ON CONFLICT (namespace, payment_id) DO UPDATE SET
        provider          = least(known.provider, excluded.provider),
        currency          = least(known.currency, excluded.currency),
        amount            = greatest(known.amount, excluded.amount),
        captured          = known.captured + excluded.captured,
        refunds_total     = greatest(known.refunds_total, excluded.refunds_total),
        refunds_made      = known.refunds_made + excluded.refunds_made,
        refunds_failed    = known.refunds_failed + excluded.refunds_failed,
        authorized        = known.authorized OR excluded.authorized,
        succeeded         = known.succeeded OR excluded.succeeded,
        failed            = known.failed OR excluded.failed,
        canceled          = known.canceled OR excluded.canceled,
        capture_failed    = known.capture_failed OR excluded.capture_failed,
        contradicted      = known.contradicted OR excluded.contradicted OR known.currency <> excluded.currency,
        first_occurred_at = least(known.first_occurred_at, excluded.first_occurred_at),
        last_occurred_at  = greatest(known.last_occurred_at, excluded.last_occurred_at)
    RETURNING contradicted
)
SELECT
    (SELECT array_agg(namespace || ':' || movement) FROM booked) AS booked,
    (SELECT bool_or(contradicted) FROM merged) AS is_contradicted;

-- name: find_known_states :many
-- Returns the states that these payments were in before.
SELECT DISTINCT namespace, payment_id, state
FROM unnest(:namespace::text[], :payment_id::text[]) AS batch (namespace, payment_id)
JOIN payments USING (namespace, payment_id)
CROSS JOIN LATERAL (
    VALUES ('authorized', authorized), ('failed', failed), ('canceled', canceled)
) AS known (state, is_known)
WHERE is_known;

-- name: recompute_payments :exec
-- Recomputes the totals of payments that have conflicts, so that their rows do not depend on which of two events was
-- first: the larger amount of a transfer counts until a person decides, and transfers on hold count too.
WITH touched AS (
    SELECT DISTINCT namespace, payment_id
    FROM unnest(:namespace::text[], :payment_id::text[]) AS batch (namespace, payment_id)
),
amounts AS (
    SELECT namespace, payment_id, movement, coalesce((
        SELECT reported_amount FROM conflicts
        WHERE kept = 'reported'
          AND conflicts.namespace = transfers.namespace AND conflicts.movement = transfers.movement
        ORDER BY decided_at DESC, id DESC LIMIT 1
    ), amount) AS amount
    FROM transfers
    JOIN touched USING (namespace, payment_id)
    UNION ALL
    SELECT namespace, payment_id, movement, reported_amount
    FROM conflicts
    JOIN touched USING (namespace, payment_id)
    WHERE kept IS NULL
    UNION ALL
    SELECT namespace, payment_id, movement, amount
    FROM held_back
    JOIN touched USING (namespace, payment_id)
    WHERE reason = 'conflict' AND released_at IS NULL
),
counted AS (
    SELECT namespace, payment_id, split_part(movement, ':', 1) AS kind, max(amount) AS amount
    FROM amounts
    GROUP BY namespace, payment_id, movement
),
sums AS (
    SELECT
        namespace, payment_id,
        coalesce(sum(amount) FILTER (WHERE kind = 'capture'), 0)
            - coalesce(sum(amount) FILTER (WHERE kind = 'capture_failed'), 0) AS captured,
        coalesce(sum(amount) FILTER (WHERE kind = 'refund'), 0) AS refunds_made,
        coalesce(sum(amount) FILTER (WHERE kind = 'refund_failed'), 0) AS refunds_failed
    FROM touched
    LEFT JOIN counted USING (namespace, payment_id)
    GROUP BY namespace, payment_id
)
UPDATE payments
SET captured = sums.captured, refunds_made = sums.refunds_made, refunds_failed = sums.refunds_failed
FROM sums
WHERE payments.namespace = sums.namespace AND payments.payment_id = sums.payment_id;

-- name: merge_disputes :exec
-- Merges a batch's facts into its disputes: booleans, and the largest amount, so that the order does not matter.
INSERT INTO disputes AS known (
    namespace, dispute_id, payment_id, currency, amount, opened, won, lost, withdrawn, reinstated
)
SELECT
    namespace, dispute_id, min(payment_id), min(currency), max(amount),
    bool_or(kind = 'dispute_opened'), bool_or(kind = 'dispute_won'), bool_or(kind = 'dispute_lost'),
    bool_or(kind = 'funds_withdrawn'), bool_or(kind = 'funds_reinstated')
FROM unnest(
    :namespace::text[], :dispute_id::text[], :payment_id::text[], :currency::text[], :amount::bigint[], :kind::text[]
) AS fact (namespace, dispute_id, payment_id, currency, amount, kind)
GROUP BY namespace, dispute_id
ORDER BY namespace, dispute_id
ON CONFLICT (namespace, dispute_id) DO UPDATE SET
    payment_id = least(known.payment_id, excluded.payment_id),
    currency   = least(known.currency, excluded.currency),
    amount     = greatest(known.amount, excluded.amount),
    opened     = known.opened OR excluded.opened,
    won        = known.won OR excluded.won,
    lost       = known.lost OR excluded.lost,
    withdrawn  = known.withdrawn OR excluded.withdrawn,
    reinstated = known.reinstated OR excluded.reinstated;

-- name: recompute_disputed :exec
-- Recomputes the amount of these payments that is disputed or was lost. A dispute that was won, or whose money was
-- returned, does not count. The second round of a dispute (`:2`) is about the same money as the first: the larger
-- amount counts, never both.
UPDATE payments
SET disputed = sums.disputed, charged_back = sums.charged_back
FROM (
    SELECT namespace, payment_id, bool_or(lost) AS charged_back, sum(amount) AS disputed
    FROM (
        SELECT
            namespace, payment_id, bool_or(lost) AS lost,
            max(CASE WHEN NOT lost AND (won OR reinstated) THEN 0 ELSE amount END) AS amount
        FROM disputes
        WHERE (namespace, payment_id) IN (SELECT * FROM unnest(:namespace::text[], :payment_id::text[]))
        GROUP BY namespace, payment_id, regexp_replace(dispute_id, ':2$', '')
    ) AS each
    GROUP BY namespace, payment_id
) AS sums
WHERE payments.namespace = sums.namespace AND payments.payment_id = sums.payment_id;

-- name: find_known_dispute_states :many
-- Returns the states that these disputes were in before.
SELECT DISTINCT namespace, dispute_id, state
FROM unnest(:namespace::text[], :dispute_id::text[]) AS batch (namespace, dispute_id)
JOIN disputes USING (namespace, dispute_id)
CROSS JOIN LATERAL (
    VALUES ('dispute_opened', opened), ('dispute_won', won), ('dispute_lost', lost)
) AS known (state, is_known)
WHERE is_known;

-- name: find_differing_transfers :many
-- Returns those of the reported transfers that are not booked, or are booked with another amount, currency or payment;
-- with the amount and currency that are booked for each, after decisions. `position` counts from 1. The LIMIT keeps a
-- plan made while the table was small from reading all of it.
SELECT
    reported.position,
    coalesce((
        SELECT reported_amount FROM conflicts
        WHERE kept = 'reported' AND conflicts.namespace = reported.namespace AND conflicts.movement = reported.movement
        ORDER BY decided_at DESC, id DESC LIMIT 1
    ), transfers.amount) AS amount,
    coalesce((
        SELECT reported_currency FROM conflicts
        WHERE kept = 'reported' AND conflicts.namespace = reported.namespace AND conflicts.movement = reported.movement
        ORDER BY decided_at DESC, id DESC LIMIT 1
    ), transfers.currency) AS currency
FROM unnest(
    :namespace::text[], :transfer_key::text[], :amount::bigint[], :currency::text[], :payment_id::text[]
) WITH ORDINALITY AS reported (namespace, movement, amount, currency, payment_id, position)
LEFT JOIN LATERAL (
    SELECT amount, currency, payment_id
    FROM transfers
    WHERE transfers.namespace = reported.namespace AND transfers.movement = reported.movement
    LIMIT 1
) AS transfers ON true
WHERE (transfers.amount, transfers.currency, transfers.payment_id)
      IS DISTINCT FROM (reported.amount, reported.currency, reported.payment_id)
ORDER BY reported.position;

-- name: find_stopped_payments :many
-- Returns those of these payments that an open conflict stops.
SELECT DISTINCT namespace, payment_id
FROM unnest(:namespace::text[], :payment_id::text[]) AS batch (namespace, payment_id)
JOIN conflicts USING (namespace, payment_id)
WHERE kept IS NULL;

-- name: find_currency_conflicts :many
-- Returns the payments of a batch that were reported in two currencies and have no conflict yet that says so; with
-- their currency, if it is not the one just reported.
SELECT DISTINCT ON (namespace, payment_id) namespace, payment_id, nullif(payments.currency, batch.currency) AS known
FROM unnest(:namespace::text[], :payment_id::text[], :currency::text[]) AS batch (namespace, payment_id, currency)
JOIN payments USING (namespace, payment_id)
WHERE contradicted AND NOT EXISTS (
    SELECT FROM conflicts
    WHERE conflicts.namespace = payments.namespace AND conflicts.payment_id = payments.payment_id
      AND booked_currency IS DISTINCT FROM reported_currency
);

-- name: open_conflict :one
-- Records once that two events contradict each other. Returns its number; no row if it was recorded before.
INSERT INTO conflicts (
    namespace, payment_id, movement, booked_amount, booked_currency, reported_amount, reported_currency, debit_account,
    credit_account, event_id
)
VALUES (
    :namespace, :payment_id, :transfer_key, :booked_amount, :booked_currency, :reported_amount, :reported_currency,
    :debit_account, :credit_account, :event_id
)
ON CONFLICT (namespace, movement, payment_id, reported_amount, reported_currency) DO NOTHING
RETURNING id;

-- name: hold_back :exec
-- Puts facts of one event on hold. `kind`, `object`, `amount` and `currency` are arrays. A fact that was released and
-- cannot be booked after all is put on hold again.
INSERT INTO held_back (
    namespace, event_id, payment_id, source, reason, kind, object, amount, currency, movement, debit_account,
    credit_account
)
SELECT DISTINCT ON (kind, object)
    :namespace, :event_id, :payment_id, :source, :reason, kind, object, amount, currency, :transfer_key::text,
    :debit_account::text, :credit_account::text
FROM unnest(:kind::text[], :object::text[], :amount::bigint[], :currency::text[])
    AS fact (kind, object, amount, currency)
ON CONFLICT (namespace, event_id, kind, object) DO UPDATE SET
    reason         = excluded.reason,
    movement       = excluded.movement,
    debit_account  = excluded.debit_account,
    credit_account = excluded.credit_account,
    released_at    = NULL;

-- name: count_open_conflicts :one
-- Counts the conflicts that wait for a person.
SELECT count(*) FROM conflicts WHERE kept IS NULL;

-- name: list_open_conflicts :many
-- Lists the open ones, the oldest first, each with the number of transfers that wait for the decision.
SELECT
    id, namespace, payment_id, movement, booked_amount, booked_currency, reported_amount, reported_currency, event_id,
    found_at,
    (
        SELECT count(*) FROM held_back
        WHERE held_back.namespace = conflicts.namespace AND held_back.payment_id = conflicts.payment_id
          AND reason = 'conflict' AND released_at IS NULL
    ) AS waiting
FROM conflicts
WHERE kept IS NULL
ORDER BY id
LIMIT :limit;

-- name: count_held_back :many
-- Counts the facts that are on hold now, by source and reason.
SELECT source, reason, count(*) AS facts
FROM held_back
WHERE released_at IS NULL
GROUP BY source, reason
ORDER BY source, reason;

-- name: find_open_conflicts :many
-- Returns the open conflicts with this number or payment id.
SELECT id, namespace, payment_id
FROM conflicts
WHERE kept IS NULL AND (id::text = :wanted OR payment_id = :wanted)
ORDER BY id;

-- name: find_decision :one
-- Returns the decision about a conflict and its time; no row if there is no such number or no decision.
SELECT kept AS decision, decided_at FROM conflicts WHERE id::text = :wanted AND kept IS NOT NULL;

-- name: read_open_conflicts :many
-- Returns those of these conflicts that are still open, and the payment for which the transfer is booked, if it is. Ask
-- only while nobody else can decide about their payment.
SELECT id, movement, reported_amount, reported_currency, conflicts.event_id, transfers.payment_id AS booked_for
FROM conflicts
LEFT JOIN transfers USING (namespace, movement)
WHERE id = ANY (:ids::bigint[]) AND kept IS NULL
ORDER BY id;

-- name: find_open_conflicts_of_payment :many
-- Returns the open conflicts of one payment.
SELECT id FROM conflicts WHERE namespace = :namespace AND payment_id = :payment_id AND kept IS NULL ORDER BY id;

-- name: book_reported :one
-- Books the reported amount of a conflict, because a person decided that it is right. If the transfer is booked, the
-- booked amount is reversed and the reported one booked between the same accounts; if the currency changes, between the
-- accounts of the reporting event, because account names may contain the currency. Returns whether the transfer is
-- booked now for the first time. To be executed before the decision is written.
WITH reported AS (
    SELECT
        id, namespace, payment_id, movement, reported_amount, reported_currency, debit_account, credit_account, event_id
    FROM conflicts
    WHERE id = :id
),
names AS (
    SELECT namespace, movement, NULL::timestamptz AS decided_at, 0 AS id FROM reported
    UNION ALL
    SELECT earlier.namespace, 'decided:' || earlier.id, earlier.decided_at, earlier.id
    FROM reported
    JOIN conflicts AS earlier USING (namespace, movement)
    WHERE earlier.kept = 'reported'
),
latest AS (
    SELECT debit_account, credit_account, amount, currency
    FROM names
    JOIN transfers USING (namespace, movement)
    ORDER BY names.decided_at DESC NULLS LAST, names.id DESC
    LIMIT 1
),
booked AS (
    INSERT INTO transfers (
        namespace, movement, payment_id, debit_account, credit_account, amount, currency, event_id
    )
    SELECT
        namespace, 'undone:' || id, payment_id, latest.credit_account, latest.debit_account, amount, currency,
        event_id
    FROM reported
    CROSS JOIN latest
    UNION ALL
    SELECT
        namespace, CASE WHEN amount IS NULL THEN movement ELSE 'decided:' || id END, payment_id,
        CASE WHEN currency = reported_currency THEN latest.debit_account ELSE reported.debit_account END,
        CASE WHEN currency = reported_currency THEN latest.credit_account ELSE reported.credit_account END,
        reported_amount, reported_currency, event_id
    FROM reported
    LEFT JOIN latest ON true
    RETURNING namespace, movement
)
SELECT EXISTS (SELECT FROM reported JOIN booked USING (namespace, movement)) AS is_booked_first;

-- name: decide_conflict :exec
-- Writes the decision. If the reported amount is right, it becomes the booked amount of the transfer's other open
-- conflicts. `decided_at` is the clock's time and not the transaction's start, so that decisions have an order.
WITH decided AS (
    UPDATE conflicts SET kept = :decision, decided_at = clock_timestamp()
    WHERE id = :id AND kept IS NULL
    RETURNING namespace, movement, reported_amount, reported_currency, kept
)
UPDATE conflicts
SET booked_amount = decided.reported_amount, booked_currency = decided.reported_currency
FROM decided
WHERE decided.kept = 'reported' AND conflicts.kept IS NULL AND conflicts.id <> :id
  AND conflicts.namespace = decided.namespace AND conflicts.movement = decided.movement;

-- name: release_waiting :many
-- Releases the transfers of one payment that waited for a decision, in the order in which they were put on hold.
WITH released AS (
    UPDATE held_back SET released_at = now()
    WHERE namespace = :namespace AND payment_id = :payment_id AND reason = 'conflict' AND released_at IS NULL
    RETURNING *
)
SELECT event_id, kind, object, amount, currency, movement, debit_account, credit_account
FROM released
ORDER BY held_at, event_id, kind, object;

-- name: list_unsigned :many
-- Lists one page of a source's events with unsigned facts on hold, the oldest first: those after an event, from the
-- start if `after_held_at` is null.
SELECT DISTINCT held_at, namespace, event_id, payment_id
FROM held_back
WHERE reason = 'unsigned' AND source = :source AND released_at IS NULL
  AND (
      :after_held_at::timestamptz IS NULL
      OR (held_at, namespace, event_id) > (:after_held_at, :after_namespace::text, :after_event_id::text)
  )
ORDER BY held_at, namespace, event_id
LIMIT :limit;

-- name: release_unsigned :many
-- Releases the unsigned facts of these events, unless somebody else was faster; returns their events.
WITH released AS (
    UPDATE held_back SET released_at = now()
    FROM unnest(:namespace::text[], :event_id::text[]) AS batch (namespace, event_id)
    WHERE held_back.namespace = batch.namespace AND held_back.event_id = batch.event_id
      AND reason = 'unsigned' AND released_at IS NULL
    RETURNING held_back.namespace, held_back.event_id
)
SELECT DISTINCT namespace, event_id FROM released;
