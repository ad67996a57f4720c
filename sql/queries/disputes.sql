-- Disputes, and the disputed amount of their payments. Every parameter is an array with one element per fact.

-- name: merge_disputes :exec
-- Merges a batch's facts into its disputes: booleans, and the largest amount, so that the order does not matter.
INSERT INTO disputes AS known (
    namespace, dispute_id, payment_id, currency, amount, opened, won, lost, withdrawn, reinstated
)
SELECT
    namespace, dispute_id, min(payment_id), min(currency), max(amount),
    bool_or(kind = 'dispute_opened'), bool_or(kind = 'dispute_won'), bool_or(kind = 'dispute_lost'),
    bool_or(kind = 'funds_withdrawn'), bool_or(kind = 'funds_reinstated')
FROM unnest(
    :namespace::text[], :dispute_id::text[], :payment_id::text[], :currency::text[], :amount::bigint[], :kind::text[]
) AS fact (namespace, dispute_id, payment_id, currency, amount, kind)
GROUP BY namespace, dispute_id
ORDER BY namespace, dispute_id
ON CONFLICT (namespace, dispute_id) DO UPDATE SET
    payment_id = least(known.payment_id, excluded.payment_id),
    currency   = least(known.currency, excluded.currency),
    amount     = greatest(known.amount, excluded.amount),
    opened     = known.opened OR excluded.opened,
    won        = known.won OR excluded.won,
    lost       = known.lost OR excluded.lost,
    withdrawn  = known.withdrawn OR excluded.withdrawn,
    reinstated = known.reinstated OR excluded.reinstated;

-- name: recompute_disputed :exec
-- Recomputes the amount of these payments that is disputed or was lost. A dispute that was won, or whose money was
-- returned, does not count. The second round of a dispute (`:2`) is about the same money as the first: the larger
-- amount counts, never both.
UPDATE payments
SET disputed = sums.disputed, charged_back = sums.charged_back
FROM (
    SELECT namespace, payment_id, bool_or(lost) AS charged_back, sum(amount) AS disputed
    FROM (
        SELECT
            namespace, payment_id, bool_or(lost) AS lost,
            max(CASE WHEN NOT lost AND (won OR reinstated) THEN 0 ELSE amount END) AS amount
        FROM disputes
        WHERE (namespace, payment_id) IN (SELECT * FROM unnest(:namespace::text[], :payment_id::text[]))
        GROUP BY namespace, payment_id, regexp_replace(dispute_id, ':2$', '')
    ) AS each
    GROUP BY namespace, payment_id
) AS sums
WHERE payments.namespace = sums.namespace AND payments.payment_id = sums.payment_id;

-- name: find_known_dispute_states :many
-- Returns the states that these disputes were in before.
SELECT DISTINCT namespace, dispute_id, state
FROM unnest(:namespace::text[], :dispute_id::text[]) AS batch (namespace, dispute_id)
JOIN disputes USING (namespace, dispute_id)
CROSS JOIN LATERAL (
    VALUES ('dispute_opened', opened), ('dispute_won', won), ('dispute_lost', lost)
) AS known (state, is_known)
WHERE is_known;
