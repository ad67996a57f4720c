-- name: merge_payments :exec
-- Joins facts into their payments: maxima, flags and first-known values, so that order and repetition do not matter.
-- A currency or a final amount that differs from one already told marks the payment as contradicted.
WITH facts AS (
    SELECT *
    FROM unnest(
        $1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[],
        $9::bigint[], $10::boolean[], $11::boolean[], $12::boolean[], $13::boolean[], $14::timestamptz[]
    ) AS fact (
        namespace, payment_id, provider, currency, amount, captured, refunded, disputed, final_amount,
        authorized, succeeded, failed, canceled, occurred_at
    )
)
INSERT INTO payments AS known (
    namespace, payment_id, provider, currency, amount, captured, refunded, disputed, final_amount,
    authorized, succeeded, failed, canceled, contradicted, first_occurred_at, last_occurred_at
)
SELECT
    namespace, payment_id, min(provider), min(currency),
    max(amount), max(captured), max(refunded), max(disputed), min(final_amount),
    bool_or(authorized), bool_or(succeeded), bool_or(failed), bool_or(canceled),
    coalesce(min(currency) <> max(currency), false) OR coalesce(min(final_amount) <> max(final_amount), false),
    min(occurred_at), max(occurred_at)
FROM facts
GROUP BY namespace, payment_id
ORDER BY namespace, payment_id
ON CONFLICT (namespace, payment_id) DO UPDATE SET
    provider          = least(known.provider, excluded.provider),
    currency          = least(known.currency, excluded.currency),
    amount            = greatest(known.amount, excluded.amount),
    captured          = greatest(known.captured, excluded.captured),
    refunded          = greatest(known.refunded, excluded.refunded),
    disputed          = greatest(known.disputed, excluded.disputed),
    final_amount      = least(known.final_amount, excluded.final_amount),
    authorized        = known.authorized OR excluded.authorized,
    succeeded         = known.succeeded OR excluded.succeeded,
    failed            = known.failed OR excluded.failed,
    canceled          = known.canceled OR excluded.canceled,
    contradicted      = known.contradicted OR excluded.contradicted
                        OR coalesce(known.currency <> excluded.currency, false)
                        OR coalesce(known.final_amount <> excluded.final_amount, false),
    first_occurred_at = least(known.first_occurred_at, excluded.first_occurred_at),
    last_occurred_at  = greatest(known.last_occurred_at, excluded.last_occurred_at);
