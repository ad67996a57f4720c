-- The statements of the release before migration 0004, as they were: its workers may run on the schema of today.

-- name: lock_resources :one
-- events.sql
SELECT count(pg_advisory_xact_lock(key))
FROM (
    SELECT DISTINCT hashtextextended(namespace || ':' || resource, 0) AS key
    FROM unnest($1::text[], $2::text[]) AS batch (namespace, resource)
    ORDER BY key
) AS keys;

-- name: claim_events :many
-- events.sql
INSERT INTO events (namespace, event_id, source, provider, entry_id, type, resource, signed, occurred_at, received_at)
SELECT namespace, event_id, source, provider, entry_id, type, resource, signed, occurred_at, received_at
FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
    $9::timestamptz[], $10::timestamptz[]
) AS batch (namespace, event_id, source, provider, entry_id, type, resource, signed, occurred_at, received_at)
WHERE NOT EXISTS (SELECT FROM dead_letters WHERE dead_letters.entry_id = batch.entry_id)
ORDER BY namespace, event_id
ON CONFLICT (namespace, event_id) DO NOTHING
RETURNING entry_id;

-- name: insert_payloads :exec
-- events.sql
INSERT INTO payloads (namespace, event_id, received_at, headers, body)
SELECT namespace, event_id, received_at, headers, body
FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::jsonb[], $5::bytea[])
    AS batch (namespace, event_id, received_at, headers, body);

-- name: record_duplicates :exec
-- events.sql
INSERT INTO duplicates (entry_id, namespace, event_id, source, received_at)
SELECT batch.entry_id, batch.namespace, batch.event_id, batch.source, batch.received_at
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[])
    AS batch (entry_id, namespace, event_id, source, received_at)
JOIN events USING (namespace, event_id)
WHERE events.entry_id <> batch.entry_id
  AND NOT EXISTS (SELECT FROM dead_letters WHERE dead_letters.entry_id = batch.entry_id)
ON CONFLICT (entry_id) DO NOTHING;

-- name: is_transaction_open :one
-- events.sql
SELECT pg_current_xact_id_if_assigned() IS NOT NULL AS is_open;

-- name: begin_handling :exec
-- events.sql
INSERT INTO unfinished DEFAULT VALUES;

-- name: end_handling :one
-- events.sql
DELETE FROM unfinished WHERE transaction_id = pg_current_xact_id() RETURNING true AS is_same;

-- name: ensure_payload_partitions :exec
-- events.sql
SELECT ensure_payload_partitions($1::integer);

-- name: find_kept :many
-- events.sql
SELECT
    source, namespace, provider, event_id, type, resource, occurred_at, received_at, signed, payloads.body,
    payloads.headers
FROM unnest($1::text[], $2::text[]) AS batch (namespace, event_id)
JOIN events USING (namespace, event_id)
LEFT JOIN payloads USING (namespace, event_id, received_at);

-- name: book_facts :one
-- payments.sql
WITH told AS (
    SELECT *
    FROM unnest(
        $1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::integer[], $8::timestamptz[],
        $9::text[], $10::integer[], $11::bigint[], $12::text[], $13::text[], $14::text[]
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
-- payments.sql
SELECT DISTINCT namespace, payment_id, state
FROM unnest($1::text[], $2::text[]) AS batch (namespace, payment_id)
JOIN payments USING (namespace, payment_id)
CROSS JOIN LATERAL (
    VALUES ('authorized', authorized), ('failed', failed), ('canceled', canceled)
) AS known (state, is_known)
WHERE is_known;

-- name: restate_payments :exec
-- payments.sql
WITH touched AS (
    SELECT DISTINCT namespace, payment_id FROM unnest($1::text[], $2::text[]) AS batch (namespace, payment_id)
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

-- name: merge_disputes :exec
-- disputes.sql
INSERT INTO disputes AS known (
    namespace, dispute_id, payment_id, currency, amount, opened, won, lost, withdrawn, reinstated
)
SELECT
    namespace, dispute_id, min(payment_id), min(currency), max(amount),
    bool_or(kind = 'dispute_opened'), bool_or(kind = 'dispute_won'), bool_or(kind = 'dispute_lost'),
    bool_or(kind = 'funds_withdrawn'), bool_or(kind = 'funds_reinstated')
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[])
    AS told (namespace, dispute_id, payment_id, currency, amount, kind)
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

-- name: restate_disputed :exec
-- disputes.sql
UPDATE payments
SET disputed = sums.disputed, charged_back = sums.charged_back
FROM (
    SELECT namespace, payment_id, bool_or(lost) AS charged_back, sum(amount) AS disputed
    FROM (
        SELECT
            namespace, payment_id, bool_or(lost) AS lost,
            max(CASE WHEN NOT lost AND (won OR reinstated) THEN 0 ELSE amount END) AS amount
        FROM disputes
        WHERE (namespace, payment_id) IN (SELECT * FROM unnest($1::text[], $2::text[]))
        GROUP BY namespace, payment_id, regexp_replace(dispute_id, ':2$', '')
    ) AS each
    GROUP BY namespace, payment_id
) AS sums
WHERE payments.namespace = sums.namespace AND payments.payment_id = sums.payment_id;

-- name: find_known_dispute_states :many
-- disputes.sql
SELECT DISTINCT namespace, dispute_id, state
FROM unnest($1::text[], $2::text[]) AS batch (namespace, dispute_id)
JOIN disputes USING (namespace, dispute_id)
CROSS JOIN LATERAL (
    VALUES ('dispute_opened', opened), ('dispute_won', won), ('dispute_lost', lost)
) AS known (state, is_known)
WHERE is_known;

-- name: find_unsettled :many
-- conflicts.sql
SELECT
    told.position,
    coalesce((
        SELECT told_amount FROM conflicts
        WHERE decision = 'told' AND conflicts.namespace = told.namespace AND conflicts.movement = told.movement
        ORDER BY decided_at DESC, id DESC LIMIT 1
    ), transfers.amount) AS amount,
    coalesce((
        SELECT told_currency FROM conflicts
        WHERE decision = 'told' AND conflicts.namespace = told.namespace AND conflicts.movement = told.movement
        ORDER BY decided_at DESC, id DESC LIMIT 1
    ), transfers.currency) AS currency
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[]) WITH ORDINALITY
    AS told (namespace, movement, amount, currency, payment_id, position)
LEFT JOIN LATERAL (
    SELECT amount, currency, payment_id
    FROM transfers
    WHERE transfers.namespace = told.namespace AND transfers.movement = told.movement
    LIMIT 1
) AS transfers ON true
WHERE (transfers.amount, transfers.currency, transfers.payment_id)
      IS DISTINCT FROM (told.amount, told.currency, told.payment_id)
ORDER BY told.position;

-- name: find_stopped :many
-- conflicts.sql
SELECT DISTINCT namespace, payment_id
FROM unnest($1::text[], $2::text[]) AS batch (namespace, payment_id)
JOIN conflicts USING (namespace, payment_id)
WHERE decision IS NULL;

-- name: find_contradicted :many
-- conflicts.sql
SELECT DISTINCT ON (namespace, payment_id) namespace, payment_id, nullif(payments.currency, batch.currency) AS known
FROM unnest($1::text[], $2::text[], $3::text[]) AS batch (namespace, payment_id, currency)
JOIN payments USING (namespace, payment_id)
WHERE contradicted AND NOT EXISTS (
    SELECT FROM conflicts
    WHERE conflicts.namespace = payments.namespace AND conflicts.payment_id = payments.payment_id
      AND booked_currency IS DISTINCT FROM told_currency
);

-- name: open_conflict :one
-- conflicts.sql
INSERT INTO conflicts (
    namespace, payment_id, movement, booked_amount, booked_currency, told_amount, told_currency, debit_account,
    credit_account, event_id
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (namespace, movement, payment_id, told_amount, told_currency) DO NOTHING
RETURNING id;

-- name: hold_back :exec
-- conflicts.sql
INSERT INTO held_back (
    namespace, event_id, payment_id, source, reason, kind, object, amount, currency, movement, debit_account,
    credit_account
)
SELECT DISTINCT ON (namespace, event_id, kind, object) *
FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::text[],
    $10::text[], $11::text[], $12::text[]
) AS fact (
    namespace, event_id, payment_id, source, reason, kind, object, amount, currency, movement, debit_account,
    credit_account
)
ON CONFLICT (namespace, event_id, kind, object) DO UPDATE SET
    reason         = excluded.reason,
    movement       = excluded.movement,
    debit_account  = excluded.debit_account,
    credit_account = excluded.credit_account,
    released_at    = NULL;

-- name: count_open_conflicts :one
-- conflicts.sql
SELECT count(*) FROM conflicts WHERE decision IS NULL;

-- name: list_open_conflicts :many
-- conflicts.sql
SELECT
    id, namespace, payment_id, movement, booked_amount, booked_currency, told_amount, told_currency, event_id, found_at,
    (
        SELECT count(*) FROM held_back
        WHERE held_back.namespace = conflicts.namespace AND held_back.payment_id = conflicts.payment_id
          AND reason = 'conflict' AND released_at IS NULL
    ) AS waiting
FROM conflicts
WHERE decision IS NULL
ORDER BY id
LIMIT $1;

-- name: count_held_back :many
-- conflicts.sql
SELECT source, reason, count(*) AS facts
FROM held_back
WHERE released_at IS NULL
GROUP BY source, reason
ORDER BY source, reason;

-- name: find_open_conflicts :many
-- conflicts.sql
SELECT id, namespace, payment_id
FROM conflicts
WHERE decision IS NULL AND (id::text = $1 OR payment_id = $1)
ORDER BY id;

-- name: find_decision :one
-- conflicts.sql
SELECT decision, decided_at FROM conflicts WHERE id::text = $1 AND decision IS NOT NULL;

-- name: read_open_conflicts :many
-- conflicts.sql
SELECT id, movement, told_amount, told_currency, conflicts.event_id, transfers.payment_id AS booked_for
FROM conflicts
LEFT JOIN transfers USING (namespace, movement)
WHERE id = ANY ($1::bigint[]) AND decision IS NULL
ORDER BY id;

-- name: find_still_open :many
-- conflicts.sql
SELECT id FROM conflicts WHERE namespace = $1 AND payment_id = $2 AND decision IS NULL ORDER BY id;

-- name: book_told :one
-- conflicts.sql
WITH told AS (
    SELECT * FROM conflicts WHERE id = $1
),
names AS (
    SELECT namespace, movement, NULL::timestamptz AS decided_at, 0 AS id FROM told
    UNION ALL
    SELECT earlier.namespace, 'decided:' || earlier.id, earlier.decided_at, earlier.id
    FROM told
    JOIN conflicts AS earlier USING (namespace, movement)
    WHERE earlier.decision = 'told'
),
standing AS (
    SELECT debit_account, credit_account, amount, currency
    FROM names
    JOIN transfers USING (namespace, movement)
    ORDER BY names.decided_at DESC NULLS LAST, names.id DESC
    LIMIT 1
),
booked AS (
    INSERT INTO transfers (
        namespace, movement, payment_id, debit_account, credit_account, amount, currency, event_id
    )
    SELECT
        namespace, 'undone:' || id, payment_id, standing.credit_account, standing.debit_account, amount, currency,
        event_id
    FROM told
    CROSS JOIN standing
    UNION ALL
    SELECT
        namespace, CASE WHEN amount IS NULL THEN movement ELSE 'decided:' || id END, payment_id,
        CASE WHEN currency = told_currency THEN standing.debit_account ELSE told.debit_account END,
        CASE WHEN currency = told_currency THEN standing.credit_account ELSE told.credit_account END,
        told_amount, told_currency, event_id
    FROM told
    LEFT JOIN standing ON true
    RETURNING namespace, movement
)
SELECT EXISTS (SELECT FROM told JOIN booked USING (namespace, movement)) AS is_booked_first;

-- name: decide_conflict :exec
-- conflicts.sql
WITH decided AS (
    UPDATE conflicts SET decision = $2, decided_at = clock_timestamp()
    WHERE id = $1 AND decision IS NULL
    RETURNING namespace, movement, told_amount, told_currency, decision
)
UPDATE conflicts
SET booked_amount = decided.told_amount, booked_currency = decided.told_currency
FROM decided
WHERE decided.decision = 'told' AND conflicts.decision IS NULL AND conflicts.id <> $1
  AND conflicts.namespace = decided.namespace AND conflicts.movement = decided.movement;

-- name: release_waiting :many
-- conflicts.sql
WITH released AS (
    UPDATE held_back SET released_at = now()
    WHERE namespace = $1 AND payment_id = $2 AND reason = 'conflict' AND released_at IS NULL
    RETURNING *
)
SELECT event_id, kind, object, amount, currency, movement, debit_account, credit_account
FROM released
ORDER BY held_at, event_id, kind, object;

-- name: list_unsigned :many
-- conflicts.sql
SELECT DISTINCT held_at, namespace, event_id, payment_id
FROM held_back
WHERE reason = 'unsigned' AND source = $1 AND released_at IS NULL
  AND ($2::timestamptz IS NULL OR (held_at, namespace, event_id) > ($2, $3::text, $4::text))
ORDER BY held_at, namespace, event_id
LIMIT $5;

-- name: release_unsigned :many
-- conflicts.sql
WITH released AS (
    UPDATE held_back SET released_at = now()
    FROM unnest($1::text[], $2::text[]) AS batch (namespace, event_id)
    WHERE held_back.namespace = batch.namespace AND held_back.event_id = batch.event_id
      AND reason = 'unsigned' AND released_at IS NULL
    RETURNING held_back.namespace, held_back.event_id
)
SELECT DISTINCT namespace, event_id FROM released;

-- name: bury :exec
-- dead_letters.sql
INSERT INTO dead_letters (
    entry_id, namespace, event_id, source, type, resource, reason, traceback, attempts, field_names, field_values
)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11
WHERE NOT EXISTS (SELECT FROM events WHERE events.namespace = $2 AND events.event_id = $3)
ON CONFLICT (entry_id) DO NOTHING;

-- name: find_buried :many
-- dead_letters.sql
SELECT entry_id FROM dead_letters WHERE entry_id = ANY ($1::text[]);

-- name: settle_dead_letters :exec
-- dead_letters.sql
UPDATE dead_letters
SET state = 'replayed', state_changed_at = now()
FROM unnest($1::text[], $2::text[]) AS applied (namespace, event_id)
WHERE dead_letters.state = 'open'
  AND dead_letters.namespace = applied.namespace
  AND dead_letters.event_id = applied.event_id;

-- name: list_dead_letters :many
-- dead_letters.sql
SELECT id, entry_id, namespace, event_id, source, type, resource, reason, attempts, died_at
FROM dead_letters
WHERE state = 'open'
ORDER BY id
LIMIT $1;

-- name: count_open_dead_letters :one
-- dead_letters.sql
SELECT count(*) FROM dead_letters WHERE state = 'open';

-- name: find_dead_letters :many
-- dead_letters.sql
SELECT id, entry_id, namespace, event_id, source, type, resource, reason, traceback, attempts, died_at,
       field_names, field_values
FROM dead_letters
WHERE state = 'open'
  AND ($1::text IS NULL OR id::text = $1 OR entry_id = $1 OR event_id = $1)
  AND id > $2
ORDER BY id
LIMIT $3;

-- name: hold_dead_letter :one
-- dead_letters.sql
SELECT id FROM dead_letters WHERE id = $1 AND state = 'open' FOR UPDATE;

-- name: close_dead_letter :one
-- dead_letters.sql
UPDATE dead_letters
SET state = $2, state_changed_at = now()
WHERE id = $1 AND state = 'open'
RETURNING id;

-- name: entry_with_two_fates :many
-- invariants.sql
SELECT entry_id, array_agg(fate ORDER BY fate) AS fates
FROM (
    SELECT entry_id, 'applied' AS fate FROM events
    UNION ALL
    SELECT entry_id, 'duplicate' FROM duplicates
    UNION ALL
    SELECT entry_id, 'dead' FROM dead_letters
) AS fates
GROUP BY entry_id
HAVING count(*) > 1;

-- name: payload_without_event :many
-- invariants.sql
SELECT payloads.namespace, payloads.event_id, payloads.received_at
FROM payloads
LEFT JOIN events USING (namespace, event_id)
WHERE events.event_id IS NULL;

-- name: event_with_two_payloads :many
-- invariants.sql
SELECT namespace, event_id, count(*) AS payloads
FROM payloads
GROUP BY namespace, event_id
HAVING count(*) > 1;

-- name: payment_without_event :many
-- invariants.sql
SELECT payments.namespace, payments.payment_id
FROM payments
WHERE NOT EXISTS (
    SELECT FROM events
    WHERE events.namespace = payments.namespace AND events.resource = payments.payment_id
);

-- name: conflict_without_decision :many
-- invariants.sql
SELECT id, namespace, payment_id, movement, booked_amount, booked_currency, told_amount, told_currency, event_id
FROM conflicts
WHERE decision IS NULL;

-- name: contradiction_without_conflict :many
-- invariants.sql
SELECT namespace, payment_id, currency
FROM payments
WHERE contradicted AND NOT EXISTS (
    SELECT FROM conflicts
    WHERE conflicts.namespace = payments.namespace AND conflicts.payment_id = payments.payment_id
);

-- name: payment_with_impossible_amounts :many
-- invariants.sql
SELECT namespace, payment_id, amount, captured, refunded, disputed
FROM payments
WHERE least(amount, captured, refunded, disputed) < 0
   OR (succeeded AND refunded > greatest(captured, amount));

-- name: payment_unlike_its_transfers :many
-- invariants.sql
SELECT
    namespace, payment_id, captured, refunds_made, refunds_failed, captures_booked, refunds_booked, failed_refunds_booked
FROM payments
LEFT JOIN (
    SELECT
        namespace, payment_id,
        sum(CASE split_part(movement, ':', 1) WHEN 'capture' THEN amount WHEN 'capture_failed' THEN -amount END)
            AS captures_booked,
        sum(amount) FILTER (WHERE split_part(movement, ':', 1) = 'refund') AS refunds_booked,
        sum(amount) FILTER (WHERE split_part(movement, ':', 1) = 'refund_failed') AS failed_refunds_booked
    FROM (
        SELECT
            transfers.namespace, transfers.payment_id, transfers.movement,
            coalesce(decided.told_amount, transfers.amount) AS amount
        FROM transfers
        LEFT JOIN (
            SELECT DISTINCT ON (namespace, movement) namespace, movement, told_amount
            FROM conflicts
            WHERE decision = 'told'
            ORDER BY namespace, movement, decided_at DESC, id DESC
        ) AS decided USING (namespace, movement)
    ) AS standing
    GROUP BY namespace, payment_id
) AS booked USING (namespace, payment_id)
WHERE (captured, refunds_made, refunds_failed)
      <> (coalesce(captures_booked, 0), coalesce(refunds_booked, 0), coalesce(failed_refunds_booked, 0))
  AND NOT EXISTS (
      SELECT FROM conflicts
      WHERE decision IS NULL
        AND conflicts.namespace = payments.namespace AND conflicts.payment_id = payments.payment_id
  );

-- name: decision_that_is_not_booked :many
-- invariants.sql
SELECT id, namespace, payment_id, movement, told_amount, told_currency
FROM conflicts
WHERE decision = 'told' AND split_part(movement, ':', 1) <> 'currency' AND NOT EXISTS (
    SELECT FROM transfers
    WHERE transfers.namespace = conflicts.namespace
      AND transfers.movement IN (conflicts.movement, 'decided:' || conflicts.id)
      AND transfers.amount = conflicts.told_amount AND transfers.currency = conflicts.told_currency
);

-- name: correction_without_decision :many
-- invariants.sql
SELECT transfers.namespace, transfers.movement, transfers.payment_id
FROM transfers
WHERE split_part(movement, ':', 1) IN ('undone', 'decided') AND NOT EXISTS (
    SELECT FROM conflicts
    JOIN transfers AS other USING (namespace)
    WHERE conflicts.decision = 'told' AND conflicts.namespace = transfers.namespace
      AND conflicts.id::text = split_part(transfers.movement, ':', 2)
      AND other.movement = CASE split_part(transfers.movement, ':', 1) WHEN 'undone' THEN 'decided' ELSE 'undone' END
                           || ':' || conflicts.id
);

-- name: transfer_without_event :many
-- invariants.sql
SELECT transfers.namespace, transfers.movement, transfers.event_id
FROM transfers
LEFT JOIN events USING (namespace, event_id)
WHERE events.event_id IS NULL;

-- name: fact_held_back_for_no_conflict :many
-- invariants.sql
SELECT namespace, event_id, payment_id, kind, object
FROM held_back
WHERE reason = 'conflict' AND released_at IS NULL AND NOT EXISTS (
    SELECT FROM conflicts
    WHERE conflicts.decision IS NULL
      AND conflicts.namespace = held_back.namespace AND conflicts.payment_id = held_back.payment_id
);

-- name: open_dead_letter_of_applied_event :many
-- invariants.sql
SELECT dead_letters.id, dead_letters.namespace, dead_letters.event_id
FROM dead_letters
JOIN events USING (namespace, event_id)
WHERE dead_letters.state = 'open' AND events.committed_at > dead_letters.died_at;
