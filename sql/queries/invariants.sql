-- Each query returns the rows that must not exist. `make audit` runs them on the live database, every fault test ends
-- with them.

-- name: entry_with_two_fates :many
-- An entry is applied, a duplicate, or dead: never two of them.
SELECT entry_id, array_agg(fate ORDER BY fate) AS fates
FROM (
    SELECT entry_id, 'applied' AS fate FROM events
    UNION ALL
    SELECT entry_id, 'duplicate' FROM duplicates
    UNION ALL
    SELECT entry_id, 'dead' FROM dead_letters
) AS fates
GROUP BY entry_id
HAVING count(*) > 1;

-- name: payload_without_event :many
-- Bytes are kept only in the transaction that applied their event.
SELECT payloads.namespace, payloads.event_id, payloads.received_at
FROM payloads
LEFT JOIN events USING (namespace, event_id)
WHERE events.event_id IS NULL;

-- name: event_with_two_payloads :many
-- One event was applied once, so its bytes were kept once.
SELECT namespace, event_id, count(*) AS payloads
FROM payloads
GROUP BY namespace, event_id
HAVING count(*) > 1;

-- name: payment_without_event :many
-- No money without an event that told of it.
SELECT payments.namespace, payments.payment_id
FROM payments
WHERE NOT EXISTS (
    SELECT FROM events
    WHERE events.namespace = payments.namespace AND events.resource = payments.payment_id
);

-- name: payment_with_contradiction :many
-- Two events disagree about the money of one payment: a person has to look.
SELECT namespace, payment_id, currency, amount, captured, refunded, disputed
FROM payments
WHERE contradicted;

-- name: payment_with_impossible_amounts :many
-- Nothing is refunded beyond what was paid, and nothing is negative. (A bank may dispute more: its fees, its rates.)
SELECT namespace, payment_id, amount, captured, refunded, disputed
FROM payments
WHERE least(amount, captured, refunded, disputed) < 0
   OR (succeeded AND refunded > greatest(captured, amount));

-- name: open_dead_letter_of_applied_event :many
-- An event that was applied after all is not dead any more.
SELECT dead_letters.id, dead_letters.namespace, dead_letters.event_id
FROM dead_letters
JOIN events USING (namespace, event_id)
WHERE dead_letters.state = 'open' AND events.committed_at > dead_letters.died_at;
