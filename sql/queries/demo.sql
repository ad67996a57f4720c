-- What `make demo` asks about what it sent itself. $1 are the namespaces, so that the indexes serve.

-- name: demo_progress :one
-- Whether every event of the demonstration has met its fate.
SELECT
    (SELECT count(*) FROM events WHERE namespace = ANY(:namespaces::text[]) AND event_id = ANY(:event_ids::text[])) AS applied,
    (
        SELECT count(*) FROM dead_letters
        WHERE namespace = ANY(:namespaces::text[]) AND event_id = ANY(:event_ids::text[]) AND state = 'open'
    ) AS dead;

-- name: demo_duplicates :one
-- Deliveries that Redis did not know again, and Postgres did.
SELECT count(*) FROM duplicates WHERE namespace = ANY(:namespaces::text[]) AND event_id = ANY(:event_ids::text[]);

-- name: demo_payments :many
-- What became of the payments of the demonstration, to be compared with what was sent.
SELECT payment_id, status, currency, captured, refunded, disputed
FROM payments
WHERE namespace = ANY(:namespaces::text[]) AND payment_id = ANY(:payment_ids::text[])
ORDER BY payment_id;

-- name: demo_transfers :many
-- The money that was booked for them.
SELECT payment_id, movement, debit_account, credit_account, amount, currency
FROM transfers
WHERE namespace = ANY(:namespaces::text[]) AND payment_id = ANY(:payment_ids::text[])
ORDER BY payment_id, movement;

-- name: demo_conflicts :many
-- Where their events contradict each other, and nobody has decided.
SELECT id, payment_id, movement, booked_amount, told_amount AS reported_amount, told_currency AS currency
FROM conflicts
WHERE namespace = ANY(:namespaces::text[]) AND payment_id = ANY(:payment_ids::text[]) AND decision IS NULL
ORDER BY id;

-- name: demo_held_back :one
-- Facts of them that may not move money.
SELECT count(*)
FROM held_back
WHERE namespace = ANY(:namespaces::text[]) AND payment_id = ANY(:payment_ids::text[]) AND released_at IS NULL;
