-- Disputes, and the disputed amount of their payments. Every parameter is an array with one element per fact.

-- name: merge_disputes :exec
-- Merges a batch's facts into its disputes: booleans, latest times and largest amounts, so that the order does not
-- matter. What the customer claims counts more than what moved, which says the amount only if no claim is known.
INSERT INTO disputes AS known (
    namespace, dispute_id, payment_id, currency, amount, opened, won, lost, withdrawn, reinstated, won_at, lost_at,
    claimed
)
SELECT
    namespace, dispute_id, min(payment_id),
    coalesce(min(currency) FILTER (WHERE is_claim), min(currency)),
    coalesce(max(amount) FILTER (WHERE is_claim), max(amount)),
    bool_or(kind = 'dispute_opened'), bool_or(kind = 'dispute_won'), bool_or(kind = 'dispute_lost'),
    bool_or(kind = 'funds_withdrawn'), bool_or(kind = 'funds_reinstated'),
    max(occurred_at) FILTER (WHERE kind = 'dispute_won'), max(occurred_at) FILTER (WHERE kind = 'dispute_lost'),
    bool_or(is_claim)
FROM unnest(
    :namespace::text[], :dispute_id::text[], :payment_id::text[], :currency::text[], :amount::bigint[], :kind::text[],
    :occurred_at::timestamptz[]
) AS fact (namespace, dispute_id, payment_id, currency, amount, kind, occurred_at)
CROSS JOIN LATERAL (SELECT kind NOT IN ('funds_withdrawn', 'funds_reinstated') AS is_claim) AS each
GROUP BY namespace, dispute_id
ORDER BY namespace, dispute_id
ON CONFLICT (namespace, dispute_id) DO UPDATE SET
    payment_id = least(known.payment_id, excluded.payment_id),
    currency   = CASE
        WHEN known.claimed = excluded.claimed THEN least(known.currency, excluded.currency)
        WHEN known.claimed THEN known.currency
        ELSE excluded.currency END,
    amount     = CASE
        WHEN known.claimed = excluded.claimed THEN greatest(known.amount, excluded.amount)
        WHEN known.claimed THEN known.amount
        ELSE excluded.amount END,
    opened     = known.opened OR excluded.opened,
    won        = known.won OR excluded.won,
    lost       = known.lost OR excluded.lost,
    withdrawn  = known.withdrawn OR excluded.withdrawn,
    reinstated = known.reinstated OR excluded.reinstated,
    won_at     = greatest(known.won_at, excluded.won_at),
    lost_at    = greatest(known.lost_at, excluded.lost_at),
    claimed    = known.claimed OR excluded.claimed;

-- name: recompute_disputes :exec
-- Sums up the transfers of these payments' disputes. While a transfer is undecided, its larger amount counts, and
-- transfers on hold count too. A dispute's transfers have one currency; if not, the first by name is summed up. A
-- dispute is converted if the claim, the money and the payment do not all have one currency; a payment that was reported
-- in two has none.
WITH moved AS (
    SELECT namespace, payment_id, dispute_id, currency, split_part(movement, ':', 1) AS kind, max(amount) AS amount
    FROM reported_transfers(:namespace::text[], :payment_id::text[])
    WHERE split_part(movement, ':', 1) IN ('dispute', 'dispute_reinstated')
    GROUP BY namespace, payment_id, dispute_id, currency, movement
),
sums AS (
    SELECT DISTINCT ON (namespace, payment_id, dispute_id)
        namespace, payment_id, dispute_id, currency,
        coalesce(sum(amount) FILTER (WHERE kind = 'dispute'), 0) AS withdrawn,
        coalesce(sum(amount) FILTER (WHERE kind = 'dispute_reinstated'), 0) AS reinstated,
        count(*) FILTER (WHERE kind = 'dispute') - count(*) FILTER (WHERE kind = 'dispute_reinstated') AS outstanding
    FROM moved
    GROUP BY namespace, payment_id, dispute_id, currency
    ORDER BY namespace, payment_id, dispute_id, currency
)
UPDATE disputes
SET withdrawn_amount = sums.withdrawn, reinstated_amount = sums.reinstated, money_currency = sums.currency,
    outstanding = sums.outstanding,
    converted = disputes.currency <> sums.currency
        OR payments.currency <> sums.currency AND NOT payments.currency_assumed AND NOT payments.contradicted
FROM sums
JOIN ONLY payments USING (namespace, payment_id)
WHERE disputes.namespace = sums.namespace AND disputes.dispute_id = sums.dispute_id;

-- name: recompute_disputed :exec
-- Sums up what is disputed of these payments, or was lost. The second round of a dispute had a row of its own (`:2`) in
-- earlier releases and is about the same money: the larger amount counts, never both. Currencies are never added up: if
-- there are several, the first by name with an amount counts.
WITH each AS (
    SELECT
        namespace, payment_id, disputed_currency, max(disputed) AS disputed,
        bool_or(disputed > 0 AND status IN ('lost', 'partly_lost')) AS is_lost
    FROM disputes
    WHERE (namespace, payment_id) IN (SELECT * FROM unnest(:namespace::text[], :payment_id::text[]))
    GROUP BY namespace, payment_id, disputed_currency, regexp_replace(dispute_id, ':2$', '')
),
sums AS (
    SELECT
        namespace, payment_id, disputed_currency, sum(disputed) AS disputed,
        bool_or(bool_or(is_lost)) OVER (PARTITION BY namespace, payment_id) AS charged_back
    FROM each
    GROUP BY namespace, payment_id, disputed_currency
),
chosen AS (
    SELECT DISTINCT ON (namespace, payment_id) *
    FROM sums
    ORDER BY namespace, payment_id, (disputed > 0) DESC, disputed_currency
)
UPDATE ONLY payments
SET disputed = chosen.disputed, disputed_currency = chosen.disputed_currency, charged_back = chosen.charged_back
FROM chosen
WHERE payments.namespace = chosen.namespace AND payments.payment_id = chosen.payment_id;

-- name: find_known_dispute_states :many
-- Returns the states that these disputes were in before.
SELECT DISTINCT namespace, dispute_id, state
FROM unnest(:namespace::text[], :dispute_id::text[]) AS batch (namespace, dispute_id)
JOIN disputes USING (namespace, dispute_id)
CROSS JOIN LATERAL (
    VALUES ('dispute_opened', opened), ('dispute_won', won), ('dispute_lost', lost)
) AS known (state, is_known)
WHERE is_known;
