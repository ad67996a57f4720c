-- What contradicts, what waits for a decision, and the decision.

-- name: find_unsettled :many
-- Of movements that were told ($1 namespace, $2 movement, $3 amount, $4 currency): those that are not booked, or are
-- booked with another amount or currency. `position` counts from 1.
SELECT told.position, transfers.amount, transfers.currency
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[]) WITH ORDINALITY
    AS told (namespace, movement, amount, currency, position)
LEFT JOIN transfers USING (namespace, movement)
WHERE transfers.amount IS DISTINCT FROM told.amount OR transfers.currency <> told.currency
ORDER BY told.position;

-- name: find_stopped :many
-- Which of these payments' money is stopped by an open conflict.
SELECT DISTINCT namespace, payment_id
FROM unnest($1::text[], $2::text[]) AS batch (namespace, payment_id)
JOIN conflicts USING (namespace, payment_id)
WHERE decision IS NULL;

-- name: find_contradicted :many
-- Payments of a batch that were told in two currencies, and have no conflict yet that says so; with another currency
-- than the one just told ($3), where one is known.
SELECT DISTINCT ON (namespace, payment_id) namespace, payment_id, payments.currency, batch.currency AS told_currency
FROM unnest($1::text[], $2::text[], $3::text[]) AS batch (namespace, payment_id, currency)
JOIN payments USING (namespace, payment_id)
LEFT JOIN conflicts USING (namespace, payment_id)
WHERE contradicted AND conflicts.id IS NULL;

-- name: open_conflict :one
-- Records that two events contradict each other, once. Returns its number; no row where it was recorded before.
INSERT INTO conflicts (
    namespace, payment_id, movement, booked_amount, booked_currency, told_amount, told_currency, debit_account,
    credit_account, event_id
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (namespace, movement, told_amount, told_currency) DO NOTHING
RETURNING id;

-- name: hold_back :exec
-- Keeps facts that were told and may not move money. Every parameter is an array.
INSERT INTO held_back (
    namespace, event_id, payment_id, source, reason, kind, object, amount, currency, movement, debit_account,
    credit_account
)
SELECT *
FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::text[],
    $10::text[], $11::text[], $12::text[]
)
ON CONFLICT DO NOTHING;
