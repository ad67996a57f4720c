-- The rows that a worker makes of an event, inserted without the ritual: what the worker is compared with.

-- name: events :exec
-- A batch, as one set.
INSERT INTO events (namespace, event_id, source, provider, entry_id, type, resource, signed, occurred_at, received_at)
SELECT * FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
    $9::timestamptz[], $10::timestamptz[]);

-- name: payloads :exec
-- A batch, as one set.
INSERT INTO payloads (namespace, event_id, received_at, headers, body)
SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::jsonb[], $5::bytea[]);

-- name: payments :exec
-- A batch, as one set.
INSERT INTO payments (
    namespace, payment_id, provider, currency, amount, captured, authorized, succeeded,
    first_occurred_at, last_occurred_at)
SELECT * FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::boolean[], $8::boolean[],
    $9::timestamptz[], $10::timestamptz[]);

-- name: transfers :exec
-- A batch, as one set.
INSERT INTO transfers (
    namespace, movement, payment_id, debit_account, credit_account, amount, currency, event_id)
SELECT * FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[]);

-- name: event :exec
-- One row, for one transaction per event.
INSERT INTO events (namespace, event_id, source, provider, entry_id, type, resource, signed, occurred_at, received_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);

-- name: payload :exec
-- One row, for one transaction per event.
INSERT INTO payloads (namespace, event_id, received_at, headers, body)
VALUES ($1, $2, $3, $4, $5);

-- name: payment :exec
-- One row, for one transaction per event.
INSERT INTO payments (
    namespace, payment_id, provider, currency, amount, captured, authorized, succeeded,
    first_occurred_at, last_occurred_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);

-- name: transfer :exec
-- One row, for one transaction per event.
INSERT INTO transfers (
    namespace, movement, payment_id, debit_account, credit_account, amount, currency, event_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: made :one
-- What there is at the end. It must be the same on every side, or the comparison would not be one.
SELECT
    (SELECT count(*) FROM events) AS events,
    (SELECT count(*) FROM payloads) AS payloads,
    (SELECT sum(length(body)) FROM payloads) AS body_bytes,
    (SELECT count(*) FROM payments WHERE status = 'succeeded' AND currency = 'EUR') AS payments,
    (SELECT sum(captured) FROM payments) AS captured,
    (SELECT sum(amount) FROM transfers WHERE credit_account = 'merchant') AS transferred;
