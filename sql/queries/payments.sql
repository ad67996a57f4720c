-- What a batch tells about payments. Every parameter is an array, one element per row, in the same order.

-- name: book_facts :one
-- Joins facts into their payments, and books the movements they tell of: each once, whoever told it before. Booked is
-- nothing of a payment whose money is stopped by a conflict, nor in another currency than its payment's: such
-- movements are not among those returned, and neither are those that were booked before. `stakes` says what a
-- movement adds to: 1 captures, 2 refunds made, 3 refunds that failed, 4 captures that failed, 0 neither.
-- `flags`: 1 authorized, 2 succeeded, 4 failed, 8 canceled, 16 a capture failed.
WITH told AS (
    SELECT *
    FROM unnest(
        :namespace::text[], :payment_id::text[], :provider::text[], :currency::text[], :amount::bigint[], :refunds_total::bigint[], :flags::integer[], :occurred_at::timestamptz[],
        :movement::text[], :stakes::integer[], :moved::bigint[], :debit_account::text[], :credit_account::text[], :event_id::text[]
    ) AS fact (
        namespace, payment_id, provider, currency, amount, refunds_total, flags, occurred_at,
        movement, stakes, moved, debit_account, credit_account, event_id
    )
),
booked AS (
    INSERT INTO transfers (
        namespace, movement, payment_id, debit_account, credit_account, amount, currency, event_id
    )
    SELECT namespace, movement, payment_id, debit_account, credit_account, moved, currency, event_id
    FROM told
    WHERE movement IS NOT NULL
      AND NOT EXISTS (
          SELECT FROM conflicts
          WHERE conflicts.decision IS NULL
            AND conflicts.namespace = told.namespace AND conflicts.payment_id = told.payment_id)
      AND NOT EXISTS (
          SELECT FROM payments
          WHERE payments.namespace = told.namespace AND payments.payment_id = told.payment_id
            AND payments.currency <> told.currency)
    ON CONFLICT (namespace, movement) DO NOTHING
    RETURNING namespace, movement
),
merged AS (
    INSERT INTO payments AS known (
        namespace, payment_id, provider, currency, amount, captured, refunds_total, refunds_made, refunds_failed,
        authorized, succeeded, failed, canceled, capture_failed, contradicted, first_occurred_at, last_occurred_at
    )
    SELECT
        namespace, payment_id, min(provider), min(currency), max(told.amount),
        coalesce(sum(CASE stakes WHEN 1 THEN moved WHEN 4 THEN -moved END) FILTER (WHERE booked.movement IS NOT NULL), 0),
        max(refunds_total),
        coalesce(sum(moved) FILTER (WHERE stakes = 2 AND booked.movement IS NOT NULL), 0),
        coalesce(sum(moved) FILTER (WHERE stakes = 3 AND booked.movement IS NOT NULL), 0),
        bit_or(flags) & 1 <> 0, bit_or(flags) & 2 <> 0, bit_or(flags) & 4 <> 0, bit_or(flags) & 8 <> 0,
        bit_or(flags) & 16 <> 0, min(currency) <> max(currency), min(occurred_at), max(occurred_at)
    FROM told
    LEFT JOIN booked USING (namespace, movement)
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
-- Which states these payments were known to be in.
SELECT DISTINCT namespace, payment_id, state
FROM unnest(:namespace::text[], :payment_id::text[]) AS batch (namespace, payment_id)
JOIN payments USING (namespace, payment_id)
CROSS JOIN LATERAL (
    VALUES ('authorized', authorized), ('failed', failed), ('canceled', canceled)
) AS known (state, is_known)
WHERE is_known;

-- name: restate_payments :exec
-- Sums up again what was told of payments in whose facts there is a conflict, so that their rows do not depend on which
-- of two events was first: of a movement the larger amount counts, until somebody decides; movements that wait count.
WITH touched AS (
    SELECT DISTINCT namespace, payment_id FROM unnest(:namespace::text[], :payment_id::text[]) AS batch (namespace, payment_id)
),
amounts AS (
    SELECT namespace, payment_id, movement, coalesce((
        SELECT told_amount FROM conflicts
        WHERE decision = 'told'
          AND conflicts.namespace = transfers.namespace AND conflicts.movement = transfers.movement
        ORDER BY decided_at DESC, id DESC LIMIT 1
    ), amount) AS amount
    FROM transfers
    JOIN touched USING (namespace, payment_id)
    UNION ALL
    SELECT namespace, payment_id, movement, told_amount
    FROM conflicts
    JOIN touched USING (namespace, payment_id)
    WHERE decision IS NULL
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
