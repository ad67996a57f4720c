-- What `make demo` asks about the events it sent itself.

-- name: demo_progress :one
-- Whether every event of the demonstration has met its fate.
SELECT
    (SELECT count(*) FROM events WHERE event_id = ANY($1::text[])) AS applied,
    (SELECT count(*) FROM dead_letters WHERE event_id = ANY($1::text[]) AND state = 'open') AS dead;

-- name: demo_payments :many
-- What became of the payments of the demonstration, to be compared with what was sent.
SELECT payment_id, status, currency, captured, refunded, disputed
FROM payments
WHERE payment_id = ANY($1::text[])
ORDER BY payment_id;
