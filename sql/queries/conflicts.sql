-- Conflicts between events, the transfers they hold back, and a person's decision. The Postgres column `movement` is the
-- transfer key.

-- name: find_differing_transfers :many
-- Returns those of the reported transfers that are not booked, or are booked with another amount, currency or payment;
-- with the amount and currency that are booked for each, after decisions. `position` counts from 1.
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
LEFT JOIN LATERAL find_transfer(reported.namespace, reported.movement) AS transfers ON true
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
-- Returns the payments of a batch that were reported in two currencies and have no open conflict that says so; with
-- their currency, or the other one if it is the one just reported. Rows of earlier releases, which do not know what was
-- asked in which currency, have such a conflict once.
SELECT DISTINCT ON (namespace, payment_id)
    namespace, payment_id,
    coalesce(nullif(payments.currency, batch.currency), (
        SELECT min(key) FROM jsonb_object_keys(asked) AS key WHERE key <> batch.currency
    )) AS known
FROM unnest(:namespace::text[], :payment_id::text[], :currency::text[]) AS batch (namespace, payment_id, currency)
JOIN ONLY payments USING (namespace, payment_id)
WHERE contradicted AND NOT EXISTS (
    SELECT FROM conflicts
    WHERE conflicts.namespace = payments.namespace AND conflicts.payment_id = payments.payment_id
      AND booked_currency IS DISTINCT FROM reported_currency
      AND split_part(movement, ':', 1) NOT IN ('dispute', 'dispute_reinstated')
      AND (kept IS NULL OR payments.asked IS NULL)
);

-- name: open_conflict :one
-- Records once that two events contradict each other. Returns its number; no row if it was recorded before.
INSERT INTO conflicts (
    namespace, payment_id, movement, booked_amount, booked_currency, reported_amount, reported_currency, debit_account,
    credit_account, event_id, dispute_id
)
VALUES (
    :namespace, :payment_id, :transfer_key, :booked_amount, :booked_currency, :reported_amount, :reported_currency,
    :debit_account, :credit_account, :event_id, :dispute_id
)
ON CONFLICT (namespace, movement, payment_id, reported_amount, reported_currency) DO NOTHING
RETURNING id;

-- name: hold_back :exec
-- Puts facts of events on hold. A fact that was released and cannot be booked after all is put on hold again.
INSERT INTO held_back (
    namespace, event_id, payment_id, source, reason, kind, object, amount, currency, movement, debit_account,
    credit_account, dispute_id
)
SELECT DISTINCT ON (namespace, event_id, kind, object)
    namespace, event_id, payment_id, source, :reason, kind, object, amount, currency, :transfer_key::text,
    :debit_account::text, :credit_account::text, :dispute_id::text
FROM unnest(
    :namespace::text[], :event_id::text[], :payment_id::text[], :source::text[], :kind::text[], :object::text[],
    :amount::bigint[], :currency::text[]
) AS fact (namespace, event_id, payment_id, source, kind, object, amount, currency)
ON CONFLICT (namespace, event_id, kind, object) DO UPDATE SET
    reason         = excluded.reason,
    movement       = excluded.movement,
    debit_account  = excluded.debit_account,
    credit_account = excluded.credit_account,
    dispute_id     = excluded.dispute_id,
    released_at    = NULL;

-- name: count_open_conflicts :one
-- Counts the conflicts that wait for a person.
SELECT count(*) FROM conflicts WHERE kept IS NULL;

-- name: list_open_conflicts :many
-- Lists the open ones after a number, the oldest first, each with the number of transfers that wait for the decision.
SELECT
    id, namespace, payment_id, movement, booked_amount, booked_currency, reported_amount, reported_currency, event_id,
    found_at,
    (
        SELECT count(*) FROM held_back
        WHERE held_back.namespace = conflicts.namespace AND held_back.payment_id = conflicts.payment_id
          AND reason = 'conflict' AND released_at IS NULL
    ) AS waiting
FROM conflicts
WHERE kept IS NULL AND id > :after
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
SELECT kept AS decision, decided_at, namespace, payment_id FROM conflicts WHERE id::text = :wanted AND kept IS NOT NULL;

-- name: read_open_conflicts :many
-- Returns those of these conflicts that are still open, and the payment for which the transfer is booked, if it is. Ask
-- only while nobody else can decide about their payment.
SELECT
    id, movement, reported_amount, reported_currency, conflicts.event_id, conflicts.dispute_id,
    transfers.payment_id AS booked_for
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
        id, namespace, payment_id, movement, reported_amount, reported_currency, debit_account, credit_account, event_id,
        dispute_id
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
        namespace, movement, payment_id, debit_account, credit_account, amount, currency, event_id, dispute_id
    )
    SELECT
        namespace, 'undone:' || id, payment_id, latest.credit_account, latest.debit_account, amount, currency,
        event_id, dispute_id
    FROM reported
    CROSS JOIN latest
    UNION ALL
    SELECT
        namespace, CASE WHEN amount IS NULL THEN movement ELSE 'decided:' || id END, payment_id,
        CASE WHEN currency = reported_currency THEN latest.debit_account ELSE reported.debit_account END,
        CASE WHEN currency = reported_currency THEN latest.credit_account ELSE reported.credit_account END,
        reported_amount, reported_currency, event_id, dispute_id
    FROM reported
    LEFT JOIN latest ON true
    RETURNING namespace, movement
)
SELECT EXISTS (SELECT FROM reported JOIN booked USING (namespace, movement)) AS is_booked_first;

-- name: find_reversal_to_correct :one
-- Returns the booked transfer that reverses the one that this decided conflict is about, if their amounts differ now: it
-- has to follow. No row while one of the two is in conflict, because a person decides first.
WITH booked AS (
    SELECT reported.*
    FROM reported_transfers(ARRAY[:namespace], ARRAY[:payment_id]) AS reported
    JOIN transfers USING (namespace, movement)
    WHERE NOT EXISTS (
        SELECT FROM conflicts
        WHERE kept IS NULL AND conflicts.namespace = reported.namespace AND conflicts.movement = reported.movement
    )
)
SELECT
    reversal.movement, reversal.amount, reversal.currency, reversal.debit_account, reversal.credit_account,
    reversed.amount AS right_amount, reversed.currency AS right_currency, conflicts.event_id
FROM conflicts
JOIN booked AS reversed ON reversed.movement = conflicts.movement
JOIN booked AS reversal
    ON reversal.movement = split_part(reversed.movement, ':', 1) || '_failed'
                           || substr(reversed.movement, strpos(reversed.movement, ':'))
WHERE id = :id AND split_part(conflicts.movement, ':', 1) IN ('capture', 'refund')
  AND (reversal.amount, reversal.currency) <> (reversed.amount, reversed.currency)
LIMIT 1;

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
-- Releases the transfers of one payment that waited for a decision, in the order in which they were put on hold. What
-- reverses a booked transfer is as large as that transfer is after the decision.
WITH released AS (
    UPDATE held_back SET released_at = now()
    WHERE namespace = :namespace AND payment_id = :payment_id AND reason = 'conflict' AND released_at IS NULL
    RETURNING *
)
SELECT
    released.event_id, kind, object, coalesce(reversed.amount, released.amount) AS amount, released.currency,
    released.movement, released.debit_account, released.credit_account, released.dispute_id
FROM released
LEFT JOIN reported_transfers(ARRAY[:namespace], ARRAY[:payment_id]) AS reversed
    ON released.kind IN ('capture_failed', 'refund_failed') AND reversed.currency = released.currency
   AND reversed.movement = replace(split_part(released.movement, ':', 1), '_failed', '') || ':' || released.object
   AND EXISTS (
       SELECT FROM transfers
       WHERE transfers.namespace = reversed.namespace AND transfers.movement = reversed.movement
   )
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

-- name: count_unsigned :one
-- Counts a source's events with unsigned facts on hold, before they are released.
SELECT count(DISTINCT (namespace, event_id))
FROM held_back
WHERE reason = 'unsigned' AND source = :source AND released_at IS NULL;

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

-- name: add_up_held_back :many
-- Adds up the money on hold now by source, reason, kind and currency, of at most `limit` facts, so that a page opens as
-- fast when much waits. Facts that move no money, such as an authorization, are left out.
SELECT source, reason, kind, currency, sum(amount) AS amount
FROM (
    SELECT source, reason, kind, currency, amount
    FROM held_back
    WHERE released_at IS NULL AND kind = ANY (:kinds::text[])
    LIMIT :limit
) AS counted
GROUP BY source, reason, kind, currency
ORDER BY source, reason, kind, currency;

-- name: add_up_conflicts :many
-- Adds up what is booked for the transfers of open conflicts, each once, and what the conflicts report, of at most
-- `limit` conflicts; a conflict about a currency alone has no amount.
WITH open AS (
    SELECT namespace, movement, booked_amount, booked_currency, reported_amount, reported_currency
    FROM conflicts
    WHERE kept IS NULL AND movement NOT LIKE 'currency:%'
    LIMIT :limit
)
SELECT 'booked' AS side, booked_currency AS currency, sum(booked_amount) AS amount
FROM (SELECT DISTINCT namespace, movement, booked_amount, booked_currency FROM open) AS once
WHERE booked_amount IS NOT NULL
GROUP BY booked_currency
UNION ALL
SELECT 'reported', reported_currency, sum(reported_amount)
FROM open
GROUP BY reported_currency
ORDER BY side, currency;
