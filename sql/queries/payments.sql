-- Booking a batch of payment facts. Every array parameter has one element per row, in the same order.

-- name: book_facts :one
-- Merges facts into their payments and books their transfers, each once, whichever event reported it first. A transfer
-- is not booked if its payment is stopped by a conflict, or has another currency. Returns the transfers that were
-- booked now, as `<namespace>:<key>`, whether a payment has been reported in two currencies, and whether one is disputed
-- in another currency than its own. `adds_to` names the payment's total that a transfer changes. `of_dispute`: the
-- currency is a dispute's, which need not be its payment's.
WITH reported AS (
    SELECT *
    FROM unnest(
        :namespace::text[], :payment_id::text[], :provider::text[], :event_id::text[], :occurred_at::timestamptz[],
        :currency::text[], :amount::bigint[], :refunds_total::bigint[], :authorized::boolean[], :succeeded::boolean[],
        :failed::boolean[], :canceled::boolean[], :capture_failed::boolean[], :transfer_key::text[],
        :transfer_amount::bigint[], :adds_to::text[], :debit_account::text[], :credit_account::text[],
        :dispute_id::text[], :of_dispute::boolean[], :captured_outside::bigint[], :account::text[]
    ) AS fact (
        namespace, payment_id, provider, event_id, occurred_at, currency, amount, refunds_total, authorized, succeeded,
        failed, canceled, capture_failed, movement, transfer_amount, adds_to, debit_account, credit_account,
        dispute_id, of_dispute, captured_outside, account
    )
),
booked AS (
    INSERT INTO transfers (
        namespace, movement, payment_id, debit_account, credit_account, amount, currency, event_id, dispute_id
    )
    SELECT
        namespace, movement, payment_id, debit_account, credit_account, transfer_amount, currency, event_id, dispute_id
    FROM reported
    WHERE movement IS NOT NULL
      AND NOT EXISTS (
          SELECT FROM conflicts
          WHERE conflicts.kept IS NULL
            AND conflicts.namespace = reported.namespace AND conflicts.payment_id = reported.payment_id)
      AND (of_dispute OR NOT EXISTS (
          SELECT FROM payments
          WHERE payments.namespace = reported.namespace AND payments.payment_id = reported.payment_id
            AND payments.currency <> reported.currency AND NOT payments.currency_assumed))
    ON CONFLICT (namespace, movement) DO NOTHING
    RETURNING namespace, movement
),
counted AS (
    SELECT reported.*, CASE WHEN booked.movement IS NOT NULL THEN adds_to END AS counts_in
    FROM reported
    LEFT JOIN booked USING (namespace, movement)
),
merged AS (
    INSERT INTO payments AS known (
        namespace, payment_id, provider, currency, amount, captured, refunds_total, refunds_made, refunds_failed,
        authorized, succeeded, failed, canceled, capture_failed, contradicted, first_occurred_at, last_occurred_at,
        captured_outside, account, currency_assumed
    )
    SELECT
        namespace, payment_id, min(provider),
        coalesce(min(currency) FILTER (WHERE NOT of_dispute), min(currency)),
        max(amount),
        coalesce(sum(
            CASE counts_in WHEN 'captured' THEN transfer_amount WHEN 'captures_failed' THEN -transfer_amount END), 0)
            + max(captured_outside),
        max(refunds_total),
        coalesce(sum(transfer_amount) FILTER (WHERE counts_in = 'refunds_made'), 0),
        coalesce(sum(transfer_amount) FILTER (WHERE counts_in = 'refunds_failed'), 0),
        bool_or(authorized), bool_or(succeeded), bool_or(failed), bool_or(canceled), bool_or(capture_failed),
        coalesce(
            min(currency) FILTER (WHERE NOT of_dispute) <> max(currency) FILTER (WHERE NOT of_dispute), false),
        min(occurred_at), max(occurred_at), max(captured_outside), max(account), bool_and(of_dispute)
    FROM counted
    GROUP BY namespace, payment_id
    ORDER BY namespace, payment_id
    ON CONFLICT (namespace, payment_id) DO UPDATE SET
        provider          = least(known.provider, excluded.provider),
        currency          = CASE
            WHEN known.currency_assumed = excluded.currency_assumed THEN least(known.currency, excluded.currency)
            WHEN known.currency_assumed THEN excluded.currency
            ELSE known.currency END,
        amount            = greatest(known.amount, excluded.amount),
        captured          = known.captured + excluded.captured
                            - least(known.captured_outside, excluded.captured_outside),
        refunds_total     = greatest(known.refunds_total, excluded.refunds_total),
        refunds_made      = known.refunds_made + excluded.refunds_made,
        refunds_failed    = known.refunds_failed + excluded.refunds_failed,
        authorized        = known.authorized OR excluded.authorized,
        succeeded         = known.succeeded OR excluded.succeeded,
        failed            = known.failed OR excluded.failed,
        canceled          = known.canceled OR excluded.canceled,
        capture_failed    = known.capture_failed OR excluded.capture_failed,
        contradicted      = known.contradicted OR excluded.contradicted OR (
            known.currency <> excluded.currency AND NOT known.currency_assumed AND NOT excluded.currency_assumed),
        first_occurred_at = least(known.first_occurred_at, excluded.first_occurred_at),
        last_occurred_at  = greatest(known.last_occurred_at, excluded.last_occurred_at),
        captured_outside  = greatest(known.captured_outside, excluded.captured_outside),
        account           = greatest(known.account, excluded.account),
        currency_assumed  = known.currency_assumed AND excluded.currency_assumed
    RETURNING contradicted, disputed_currency IS NOT NULL AND (contradicted OR disputed_currency <> currency) AS converted
)
SELECT
    (SELECT array_agg(namespace || ':' || movement) FROM booked) AS booked,
    (SELECT bool_or(contradicted) FROM merged) AS is_contradicted,
    (SELECT bool_or(converted) FROM merged) AS is_converted;

-- name: find_booked :many
-- Returns those of these transfers that are booked.
SELECT namespace, movement
FROM unnest(:namespace::text[], :transfer_key::text[]) AS reported (namespace, movement)
JOIN transfers USING (namespace, movement);

-- name: find_known_states :many
-- Returns the states that these payments were in before.
SELECT DISTINCT namespace, payment_id, state
FROM unnest(:namespace::text[], :payment_id::text[]) AS batch (namespace, payment_id)
JOIN payments USING (namespace, payment_id)
CROSS JOIN LATERAL (
    VALUES ('authorized', authorized), ('failed', failed), ('canceled', canceled)
) AS known (state, is_known)
WHERE is_known;

-- name: find_captures_to_undo :many
-- Returns the captures of these payments that were implied by an authorization, do not count, and are not undone yet. An
-- implied capture is named after its payment or, if the authorization was adjusted, `<payment>/<adjustment>`. None counts
-- if the payment was canceled or a capture of its own was reported; else only the newest counts.
WITH reported AS (
    SELECT *
    FROM reported_transfers(:namespace::text[], :payment_id::text[])
    WHERE split_part(movement, ':', 1) IN ('capture', 'capture_failed')
),
captures AS (
    SELECT DISTINCT ON (namespace, payment_id, movement)
        *, substr(movement, length('capture:') + 1) AS object,
        movement = 'capture:' || payment_id AS is_original,
        movement = 'capture:' || payment_id OR starts_with(movement, 'capture:' || payment_id || '/') AS is_implied
    FROM reported
    WHERE starts_with(movement, 'capture:')
    ORDER BY namespace, payment_id, movement, amount DESC
),
ranked AS (
    SELECT
        captures.*,
        bool_or(NOT is_implied) OVER (PARTITION BY namespace, payment_id) AS has_own_capture,
        row_number() OVER (
            PARTITION BY namespace, payment_id, is_implied ORDER BY is_original, occurred_at DESC NULLS LAST, movement DESC
        ) AS rank
    FROM captures
    LEFT JOIN events USING (namespace, event_id)
)
SELECT namespace, payment_id, object, ranked.amount, ranked.currency, debit_account, credit_account
FROM ranked
JOIN payments USING (namespace, payment_id)
WHERE is_implied AND (payments.canceled OR has_own_capture OR rank > 1) AND NOT EXISTS (
    SELECT FROM reported
    WHERE reported.namespace = ranked.namespace AND reported.movement = 'capture_failed:' || ranked.object
)
ORDER BY namespace, payment_id, object;

-- name: recompute_payments :exec
-- Recomputes the totals of payments that have conflicts, so that their rows do not depend on which of two events was
-- first: the larger amount of a transfer counts until a person decides, and transfers on hold count too. A reversal is
-- as large as what it reverses.
WITH touched AS (
    SELECT DISTINCT namespace, payment_id
    FROM unnest(:namespace::text[], :payment_id::text[]) AS batch (namespace, payment_id)
),
reported AS (
    SELECT namespace, payment_id, movement, split_part(movement, ':', 1) AS kind, max(amount) AS amount
    FROM reported_transfers(:namespace, :payment_id)
    GROUP BY namespace, payment_id, movement
),
counted AS (
    SELECT reported.namespace, reported.payment_id, reported.kind, greatest(reported.amount, reversed.amount) AS amount
    FROM reported
    LEFT JOIN reported AS reversed
        ON reversed.namespace = reported.namespace AND reversed.payment_id = reported.payment_id
       AND reported.kind IN ('capture_failed', 'refund_failed')
       AND reversed.movement = replace(reported.kind, '_failed', '') || substr(reported.movement, length(reported.kind) + 1)
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
SET captured = sums.captured + captured_outside, refunds_made = sums.refunds_made, refunds_failed = sums.refunds_failed
FROM sums
WHERE payments.namespace = sums.namespace AND payments.payment_id = sums.payment_id;
