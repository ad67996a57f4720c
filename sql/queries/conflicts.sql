-- What contradicts, what waits for a decision, and the decision.

-- name: find_unsettled :many
-- Of movements that were told (`namespace` namespace, `movement` movement, `amount` amount, `currency` currency, `payment_id` payment): those that are not
-- booked, or were booked with another amount or currency, or for another payment; and what stands of each now, after
-- decisions. `position` counts from 1. The limit keeps a plan made while the table was small from reading all of it.
SELECT
    told.position,
    coalesce((
        SELECT told_amount FROM conflicts
        WHERE decision = 'told' AND conflicts.namespace = told.namespace AND conflicts.movement = told.movement
        ORDER BY decided_at DESC, id DESC LIMIT 1
    ), transfers.amount) AS amount,
    coalesce((
        SELECT told_currency FROM conflicts
        WHERE decision = 'told' AND conflicts.namespace = told.namespace AND conflicts.movement = told.movement
        ORDER BY decided_at DESC, id DESC LIMIT 1
    ), transfers.currency) AS currency
FROM unnest(:namespace::text[], :movement::text[], :amount::bigint[], :currency::text[], :payment_id::text[]) WITH ORDINALITY
    AS told (namespace, movement, amount, currency, payment_id, position)
LEFT JOIN LATERAL (
    SELECT amount, currency, payment_id
    FROM transfers
    WHERE transfers.namespace = told.namespace AND transfers.movement = told.movement
    LIMIT 1
) AS transfers ON true
WHERE (transfers.amount, transfers.currency, transfers.payment_id)
      IS DISTINCT FROM (told.amount, told.currency, told.payment_id)
ORDER BY told.position;

-- name: find_stopped :many
-- Which of these payments' money is stopped by an open conflict.
SELECT DISTINCT namespace, payment_id
FROM unnest(:namespace::text[], :payment_id::text[]) AS batch (namespace, payment_id)
JOIN conflicts USING (namespace, payment_id)
WHERE decision IS NULL;

-- name: find_contradicted :many
-- Payments of a batch that were told in two currencies, and have no conflict yet that says so; with the currency they
-- have, where it is another than the one just told (`currency`).
SELECT DISTINCT ON (namespace, payment_id) namespace, payment_id, nullif(payments.currency, batch.currency) AS known
FROM unnest(:namespace::text[], :payment_id::text[], :currency::text[]) AS batch (namespace, payment_id, currency)
JOIN payments USING (namespace, payment_id)
WHERE contradicted AND NOT EXISTS (
    SELECT FROM conflicts
    WHERE conflicts.namespace = payments.namespace AND conflicts.payment_id = payments.payment_id
      AND booked_currency IS DISTINCT FROM told_currency
);

-- name: open_conflict :one
-- Records that two events contradict each other, once. Returns its number; no row where it was recorded before.
INSERT INTO conflicts (
    namespace, payment_id, movement, booked_amount, booked_currency, told_amount, told_currency, debit_account,
    credit_account, event_id
)
VALUES (:namespace, :payment_id, :movement, :booked_amount, :booked_currency, :told_amount, :told_currency, :debit_account, :credit_account, :event_id)
ON CONFLICT (namespace, movement, payment_id, told_amount, told_currency) DO NOTHING
RETURNING id;

-- name: hold_back :exec
-- Keeps facts that were told and may not move money. Every parameter is an array. What is about to be released, and may
-- not move money after all, is held back again.
INSERT INTO held_back (
    namespace, event_id, payment_id, source, reason, kind, object, amount, currency, movement, debit_account,
    credit_account
)
SELECT DISTINCT ON (namespace, event_id, kind, object) *
FROM unnest(
    :namespace::text[], :event_id::text[], :payment_id::text[], :source::text[], :reason::text[], :kind::text[], :object::text[], :amount::bigint[], :currency::text[],
    :movement::text[], :debit_account::text[], :credit_account::text[]
) AS fact (
    namespace, event_id, payment_id, source, reason, kind, object, amount, currency, movement, debit_account,
    credit_account
)
ON CONFLICT (namespace, event_id, kind, object) DO UPDATE SET
    reason         = excluded.reason,
    movement       = excluded.movement,
    debit_account  = excluded.debit_account,
    credit_account = excluded.credit_account,
    released_at    = NULL;

-- name: count_open_conflicts :one
-- How many wait for a person.
SELECT count(*) FROM conflicts WHERE decision IS NULL;

-- name: list_open_conflicts :many
-- The open ones, the oldest first, each with how many movements of its payment wait for the decision.
SELECT
    id, namespace, payment_id, movement, booked_amount, booked_currency, told_amount, told_currency, event_id, found_at,
    (
        SELECT count(*) FROM held_back
        WHERE held_back.namespace = conflicts.namespace AND held_back.payment_id = conflicts.payment_id
          AND reason = 'conflict' AND released_at IS NULL
    ) AS waiting
FROM conflicts
WHERE decision IS NULL
ORDER BY id
LIMIT :limit;

-- name: count_held_back :many
-- What is held back now, by source and reason.
SELECT source, reason, count(*) AS facts
FROM held_back
WHERE released_at IS NULL
GROUP BY source, reason
ORDER BY source, reason;

-- name: find_open_conflicts :many
-- The open ones that an operator means by a number or a payment's id.
SELECT id, namespace, payment_id
FROM conflicts
WHERE decision IS NULL AND (id::text = :wanted OR payment_id = :wanted)
ORDER BY id;

-- name: find_decision :one
-- What was decided about a conflict, and when; no row where there is no such number or nothing was decided.
SELECT decision, decided_at FROM conflicts WHERE id::text = :wanted AND decision IS NOT NULL;

-- name: read_open_conflicts :many
-- Which of these are still open, with what was told, and for which payment the movement is booked, if it is. To be asked
-- once nobody else can decide about their payment.
SELECT id, movement, told_amount, told_currency, conflicts.event_id, transfers.payment_id AS booked_for
FROM conflicts
LEFT JOIN transfers USING (namespace, movement)
WHERE id = ANY (:ids::bigint[]) AND decision IS NULL
ORDER BY id;

-- name: find_still_open :many
-- The conflicts of one payment that are open.
SELECT id FROM conflicts WHERE namespace = :namespace AND payment_id = :payment_id AND decision IS NULL ORDER BY id;

-- name: book_told :one
-- Books what a conflict says was told, because somebody decided that it is right. Where the movement is booked, what
-- stands of it is undone, and what was told is booked beside it, between the same accounts; where the currency changes,
-- between the accounts of the telling, as their names may hold it. Tells whether the movement is booked now for the
-- first time. To be asked before the decision is written.
WITH told AS (
    SELECT * FROM conflicts WHERE id = :id
),
names AS (
    SELECT namespace, movement, NULL::timestamptz AS decided_at, 0 AS id FROM told
    UNION ALL
    SELECT earlier.namespace, 'decided:' || earlier.id, earlier.decided_at, earlier.id
    FROM told
    JOIN conflicts AS earlier USING (namespace, movement)
    WHERE earlier.decision = 'told'
),
standing AS (
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
        namespace, 'undone:' || id, payment_id, standing.credit_account, standing.debit_account, amount, currency,
        event_id
    FROM told
    CROSS JOIN standing
    UNION ALL
    SELECT
        namespace, CASE WHEN amount IS NULL THEN movement ELSE 'decided:' || id END, payment_id,
        CASE WHEN currency = told_currency THEN standing.debit_account ELSE told.debit_account END,
        CASE WHEN currency = told_currency THEN standing.credit_account ELSE told.credit_account END,
        told_amount, told_currency, event_id
    FROM told
    LEFT JOIN standing ON true
    RETURNING namespace, movement
)
SELECT EXISTS (SELECT FROM told JOIN booked USING (namespace, movement)) AS is_booked_first;

-- name: decide_conflict :exec
-- Writes the decision; where what was told is right, the movement's other open conflicts say from now on that it is
-- booked. By the clock and not by the transaction's start, so that the later of two decisions is the later one.
WITH decided AS (
    UPDATE conflicts SET decision = :decision, decided_at = clock_timestamp()
    WHERE id = :id AND decision IS NULL
    RETURNING namespace, movement, told_amount, told_currency, decision
)
UPDATE conflicts
SET booked_amount = decided.told_amount, booked_currency = decided.told_currency
FROM decided
WHERE decided.decision = 'told' AND conflicts.decision IS NULL AND conflicts.id <> :id
  AND conflicts.namespace = decided.namespace AND conflicts.movement = decided.movement;

-- name: release_waiting :many
-- Releases the movements of one payment that waited for a decision, in the order in which they were held back.
WITH released AS (
    UPDATE held_back SET released_at = now()
    WHERE namespace = :namespace AND payment_id = :payment_id AND reason = 'conflict' AND released_at IS NULL
    RETURNING *
)
SELECT event_id, kind, object, amount, currency, movement, debit_account, credit_account
FROM released
ORDER BY held_at, event_id, kind, object;

-- name: list_unsigned :many
-- One page of a source's events with facts that were held back as unsigned, the oldest first: those after one (`after_held_at`, `after_namespace`,
-- `after_event_id`; from the start where `after_held_at` is null), at most so many (`limit`).
SELECT DISTINCT held_at, namespace, event_id, payment_id
FROM held_back
WHERE reason = 'unsigned' AND source = :source AND released_at IS NULL
  AND (:after_held_at::timestamptz IS NULL OR (held_at, namespace, event_id) > (:after_held_at, :after_namespace::text, :after_event_id::text))
ORDER BY held_at, namespace, event_id
LIMIT :limit;

-- name: release_unsigned :many
-- Releases what of these events was held back as unsigned, unless somebody else was faster; returns its events.
WITH released AS (
    UPDATE held_back SET released_at = now()
    FROM unnest(:namespace::text[], :event_id::text[]) AS batch (namespace, event_id)
    WHERE held_back.namespace = batch.namespace AND held_back.event_id = batch.event_id
      AND reason = 'unsigned' AND released_at IS NULL
    RETURNING held_back.namespace, held_back.event_id
)
SELECT DISTINCT namespace, event_id FROM released;
