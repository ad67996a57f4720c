-- What `make demo` asks about the events it sent. Every query names the namespaces, so that the indexes serve.

-- name: demo_progress :one
-- Counts those of the demonstration's events that are applied, and those that are dead-lettered.
SELECT
    (
        SELECT count(*) FROM events
        WHERE namespace = ANY(:namespaces::text[]) AND event_id = ANY(:event_ids::text[])
    ) AS applied,
    (
        SELECT count(*) FROM dead_letters
        WHERE namespace = ANY(:namespaces::text[]) AND event_id = ANY(:event_ids::text[]) AND state = 'open'
    ) AS dead;

-- name: demo_duplicates :one
-- Counts the duplicates that Postgres recognised, not Redis.
SELECT count(*) FROM duplicates WHERE namespace = ANY(:namespaces::text[]) AND event_id = ANY(:event_ids::text[]);

-- name: demo_payments :many
-- Returns the demonstration's payments, to be compared with the events sent.
SELECT payment_id, status, currency, captured, refunded, disputed
FROM payments
WHERE namespace = ANY(:namespaces::text[]) AND payment_id = ANY(:payment_ids::text[])
ORDER BY payment_id;

-- name: demo_transfers :many
-- Returns the transfers of these payments.
SELECT payment_id, movement, debit_account, credit_account, amount, currency
FROM transfers
WHERE namespace = ANY(:namespaces::text[]) AND payment_id = ANY(:payment_ids::text[])
ORDER BY payment_id, movement;

-- name: demo_conflicts :many
-- Returns the open conflicts of these payments.
SELECT id, payment_id, movement, booked_amount, reported_amount, reported_currency AS currency
FROM conflicts
WHERE namespace = ANY(:namespaces::text[]) AND payment_id = ANY(:payment_ids::text[]) AND kept IS NULL
ORDER BY id;

-- name: demo_held_back :one
-- Counts the facts of these payments that are on hold.
SELECT count(*)
FROM held_back
WHERE namespace = ANY(:namespaces::text[]) AND payment_id = ANY(:payment_ids::text[]) AND released_at IS NULL;
