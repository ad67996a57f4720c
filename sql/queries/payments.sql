-- Booking a batch of payment facts. Every array parameter has one element per row, in the same order.

-- name: book_facts :one
-- Merges facts into their payments and books their transfers, each once, whichever event reported it first. A transfer
-- is not booked if its payment is stopped by a conflict, or has another currency. Returns the transfers that were
-- booked now, as `<namespace>:<key>`, whether a payment has been reported in two currencies, and whether one is disputed
-- in another currency than its own. `adds_to` names the payment's total that a transfer changes. `of_dispute`: the
-- currency is a dispute's, which need not be its payment's. The payments are locked, so that none is in the archive; a
-- transfer may be, booked for another payment, and is not booked again.
WITH reported AS (
    SELECT *
    FROM unnest(
        :namespace::text[], :payment_id::text[], :provider::text[], :event_id::text[], :occurred_at::timestamptz[],
        :currency::text[], :amount::bigint[], :refunds_total::bigint[], :authorized::boolean[], :succeeded::boolean[],
        :failed::boolean[], :canceled::boolean[], :capture_failed::boolean[], :transfer_key::text[],
        :transfer_amount::bigint[], :adds_to::text[], :debit_account::text[], :credit_account::text[],
        :dispute_id::text[], :of_dispute::boolean[], :captured_outside::bigint[], :account::text[], :asked::bigint[]
    ) AS fact (
        namespace, payment_id, provider, event_id, occurred_at, currency, amount, refunds_total, authorized, succeeded,
        failed, canceled, capture_failed, movement, transfer_amount, adds_to, debit_account, credit_account,
        dispute_id, of_dispute, captured_outside, account, asked
    )
),
inserted AS (
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
          SELECT FROM ONLY payments
          WHERE payments.namespace = reported.namespace AND payments.payment_id = reported.payment_id
            AND payments.currency <> reported.currency AND NOT payments.currency_assumed))
    ON CONFLICT (namespace, movement) DO NOTHING
    RETURNING namespace, movement
),
archived AS MATERIALIZED (
    SELECT forgotten.namespace, forgotten.movement
    FROM (SELECT array_agg(namespace) AS namespaces, array_agg(movement) AS movements FROM inserted) AS keys
    CROSS JOIN LATERAL forget_archived_transfers(keys.namespaces, keys.movements) AS forgotten
),
booked AS (
    SELECT namespace, movement FROM inserted
    EXCEPT
    SELECT namespace, movement FROM archived
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
        captured_outside, account, currency_assumed, asked
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
        min(occurred_at), max(occurred_at), max(captured_outside), max(account), bool_and(of_dispute),
        coalesce(jsonb_object_agg(currency, asked ORDER BY asked) FILTER (WHERE NOT of_dispute), '{}')
    FROM counted
    GROUP BY namespace, payment_id
    ORDER BY namespace, payment_id
    ON CONFLICT (namespace, payment_id) DO UPDATE SET
        provider          = least(known.provider, excluded.provider),
        currency          = CASE
            WHEN NOT known.currency_assumed AND (known.decided OR known.asked ? excluded.currency) THEN known.currency
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
            known.currency <> excluded.currency AND NOT known.currency_assumed AND NOT excluded.currency_assumed
            AND NOT coalesce(known.asked ? excluded.currency, false)),
        first_occurred_at = least(known.first_occurred_at, excluded.first_occurred_at),
        last_occurred_at  = greatest(known.last_occurred_at, excluded.last_occurred_at),
        captured_outside  = greatest(known.captured_outside, excluded.captured_outside),
        account           = greatest(known.account, excluded.account),
        currency_assumed  = known.currency_assumed AND excluded.currency_assumed,
        asked             = CASE
            WHEN known.asked IS NULL OR known.asked @> excluded.asked THEN known.asked
            ELSE (
                SELECT jsonb_object_agg(key, value ORDER BY value)
                FROM (SELECT * FROM jsonb_each(known.asked) UNION ALL SELECT * FROM jsonb_each(excluded.asked)) AS each
            ) END
    RETURNING decided, contradicted, disputed_currency IS NOT NULL AND (contradicted OR disputed_currency <> currency) AS converted
)
SELECT
    (SELECT array_agg(namespace || ':' || movement) FROM booked) AS booked,
    (SELECT bool_or(contradicted) FROM merged) AS is_contradicted,
    (SELECT bool_or(converted) FROM merged) AS is_converted,
    (SELECT bool_or(decided) FROM merged) AS is_decided;

-- name: find_booked :many
-- Returns those of these transfers that are booked.
SELECT namespace, movement
FROM unnest(:namespace::text[], :transfer_key::text[]) AS reported (namespace, movement)
JOIN transfers USING (namespace, movement);

-- name: find_known_states :many
-- Returns the states that these payments were in before.
SELECT DISTINCT namespace, payment_id, state
FROM unnest(:namespace::text[], :payment_id::text[]) AS batch (namespace, payment_id)
JOIN ONLY payments USING (namespace, payment_id)
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
JOIN ONLY payments USING (namespace, payment_id)
WHERE is_implied AND (payments.canceled OR has_own_capture OR rank > 1) AND NOT EXISTS (
    SELECT FROM reported
    WHERE reported.namespace = ranked.namespace AND reported.movement = 'capture_failed:' || ranked.object
)
ORDER BY namespace, payment_id, object;

-- name: recompute_payments :exec
-- Recomputes the totals of payments that have conflicts, so that their rows do not depend on which of two events was
-- first: the larger amount of a transfer counts until a person decides, and transfers on hold count too. A reversal is
-- as large as what it reverses. After a decision the row has what was kept: the currency of what is booked then, and
-- only amounts of that currency; `amount` forgets the captures that were dismissed. A currency that was dismissed
-- contradicts nothing any more, so that only an open conflict does.
WITH touched AS (
    SELECT DISTINCT namespace, payment_id
    FROM unnest(:namespace::text[], :payment_id::text[]) AS batch (namespace, payment_id)
),
answers AS (
    SELECT
        namespace, payment_id, bool_or(kept IS NULL) AS is_open, bool_or(kept IS NOT NULL) AS decided,
        bool_or(kept IS NULL AND is_about_currency) AS contradicted,
        bool_or(kept IS NOT NULL AND is_about_currency) AS is_currency_decided,
        (array_agg(correct ORDER BY decided_at DESC, id DESC)
            FILTER (WHERE is_about_currency AND correct IS NOT NULL))[1] AS correct,
        coalesce(array_agg(wrong) FILTER (WHERE is_about_currency AND wrong IS NOT NULL), '{}') AS wrong,
        array_agg(booked_currency) || array_agg(reported_currency) AS currencies,
        max(greatest(booked_amount, reported_amount)) AS largest
    FROM touched
    JOIN conflicts USING (namespace, payment_id)
    CROSS JOIN LATERAL (
        SELECT
            booked_currency IS DISTINCT FROM reported_currency AS is_about_currency,
            CASE kept WHEN 'booked' THEN booked_currency WHEN 'reported' THEN reported_currency END AS correct,
            CASE kept WHEN 'booked' THEN reported_currency WHEN 'reported' THEN booked_currency END AS wrong
    ) AS answer
    WHERE split_part(movement, ':', 1) NOT IN ('dispute', 'dispute_reinstated')
    GROUP BY namespace, payment_id
),
chosen AS (
    SELECT
        payments.namespace, payments.payment_id, answers.is_open, answers.decided, answers.contradicted, answers.wrong,
        is_currency_decided, payments.amount > greatest(answers.largest, booked.largest) AS is_amount_asked, payments.amount,
        payments.asked, currencies || payments.currency AS currencies,
        CASE
            WHEN is_currency_decided THEN coalesce(
                booked.currency, CASE WHEN coalesce(asked ? correct, true) THEN correct END,
                (SELECT min(key) FROM jsonb_object_keys(asked) AS key WHERE key <> ALL (wrong)), payments.currency)
            ELSE payments.currency END AS currency
    FROM answers
    JOIN ONLY payments USING (namespace, payment_id)
    LEFT JOIN LATERAL (
        SELECT
            max(transfers.amount) AS largest,
            (array_agg(current.currency ORDER BY is_capture DESC, current.currency = correct DESC, current.currency)
                FILTER (WHERE current.currency IS NOT NULL))[1] AS currency
        FROM ONLY transfers
        CROSS JOIN LATERAL (
            SELECT
                starts_with(transfers.movement, 'capture:') AS is_capture,
                coalesce((
                    SELECT reported_currency FROM conflicts
                    WHERE kept = 'reported' AND conflicts.namespace = transfers.namespace
                      AND conflicts.movement = transfers.movement
                    ORDER BY decided_at DESC, id DESC LIMIT 1
                ), transfers.currency) AS currency
        ) AS current
        WHERE transfers.namespace = answers.namespace AND transfers.payment_id = answers.payment_id
          AND split_part(transfers.movement, ':', 1) IN ('capture', 'refund')
    ) AS booked ON true
),
reported AS (
    SELECT namespace, payment_id, movement, split_part(movement, ':', 1) AS kind, max(reported.amount) AS amount
    FROM reported_transfers(:namespace, :payment_id) AS reported
    LEFT JOIN chosen USING (namespace, payment_id)
    WHERE NOT coalesce(is_currency_decided AND NOT is_open AND reported.currency <> chosen.currency, false)
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
        coalesce(sum(amount) FILTER (WHERE kind = 'refund_failed'), 0) AS refunds_failed,
        coalesce(max(amount) FILTER (WHERE kind = 'capture'), 0) AS largest_capture
    FROM touched
    LEFT JOIN counted USING (namespace, payment_id)
    GROUP BY namespace, payment_id
),
followed AS (
    SELECT
        chosen.namespace, chosen.payment_id, is_open, decided, contradicted, is_currency_decided, currency, wrong,
        coalesce(asked, (
            SELECT jsonb_object_agg(named, CASE WHEN is_amount_asked THEN chosen.amount ELSE 0 END)
            FROM unnest(currencies) AS named
            WHERE named IS NOT NULL
        )) AS asked
    FROM chosen
    WHERE decided
)
UPDATE ONLY payments
SET captured = sums.captured + captured_outside, refunds_made = sums.refunds_made, refunds_failed = sums.refunds_failed,
    decided = payments.decided OR followed.decided IS NOT NULL,
    asked = coalesce(followed.asked, payments.asked),
    currency = coalesce(followed.currency, payments.currency),
    contradicted = CASE
        WHEN followed.is_currency_decided THEN followed.contradicted ELSE payments.contradicted END,
    amount = CASE
        WHEN followed.decided THEN greatest(largest_capture, (
            SELECT max(value::bigint) FROM jsonb_each_text(followed.asked)
            WHERE key = followed.currency OR followed.is_open AND key <> ALL (followed.wrong)
        ))
        ELSE payments.amount END
FROM sums
LEFT JOIN followed USING (namespace, payment_id)
WHERE payments.namespace = sums.namespace AND payments.payment_id = sums.payment_id;
