-- Each query returns rows that must not exist. `make audit` runs them on the live database, and every fault test ends
-- with them.

-- name: entry_with_two_fates :many
-- An entry is applied, a duplicate, or dead-lettered: never two of them.
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

-- name: event_in_two_tables :many
-- An event is in one of two tables, and moves to the archive in one transaction.
SELECT namespace, event_id FROM ONLY events JOIN events_archive USING (namespace, event_id);

-- name: payment_in_two_tables :many
-- A payment is in one of two tables, and moves from one to the other in one transaction.
SELECT namespace, payment_id FROM ONLY payments JOIN payments_archive USING (namespace, payment_id);

-- name: transfer_in_two_tables :many
-- A transfer is booked once, and is in one of two tables.
SELECT namespace, movement FROM ONLY transfers JOIN transfers_archive USING (namespace, movement);

-- name: transfer_apart_from_its_payment :many
-- A payment and its transfers move together.
SELECT transfers.namespace, transfers.movement, payment_id
FROM ONLY transfers
JOIN payments_archive USING (namespace, payment_id)
UNION ALL
SELECT transfers_archive.namespace, movement, payment_id
FROM transfers_archive
JOIN ONLY payments USING (namespace, payment_id);

-- name: archived_without_fingerprint :many
-- A worker asks an archive only for the keys whose fingerprints are there. Without one, an event is applied again.
SELECT archive, namespace, key
FROM (
    SELECT 'events' AS archive, namespace, event_id AS key, digest_of('events', namespace, event_id) AS digest
    FROM events_archive
    UNION ALL
    SELECT 'payments', namespace, payment_id, digest_of('payments', namespace, payment_id) FROM payments_archive
    UNION ALL
    SELECT 'transfers', namespace, movement, digest_of('transfers', namespace, movement) FROM transfers_archive
    OFFSET 0
) AS archived
LEFT JOIN archive_fingerprints
    ON bucket = bucket_of(digest) AND position(fingerprint_of(digest) IN fingerprints) > 0
WHERE bucket IS NULL;

-- name: duplicate_without_event :many
-- A duplicate is recorded only of an event that was applied.
SELECT duplicates.entry_id, duplicates.namespace, duplicates.event_id
FROM duplicates
LEFT JOIN events USING (namespace, event_id)
WHERE events.event_id IS NULL;

-- name: payload_without_event :many
-- A payload is kept only by the transaction that applied its event.
SELECT payloads.namespace, payloads.event_id, payloads.received_at
FROM payloads
LEFT JOIN events USING (namespace, event_id)
WHERE events.event_id IS NULL;

-- name: event_with_two_payloads :many
-- An event is applied once, so it has one payload: a second one has another time than the event's row.
SELECT payloads.namespace, payloads.event_id, payloads.received_at
FROM payloads
LEFT JOIN events AS its USING (namespace, event_id, received_at)
WHERE its.event_id IS NULL AND EXISTS (
    SELECT FROM events WHERE events.namespace = payloads.namespace AND events.event_id = payloads.event_id
);

-- name: payment_without_event :many
-- Every payment has an event that reported it; or a dispute, whose event may be about several payments; or a refund,
-- whose event may name the refund only.
SELECT payments.namespace, payments.payment_id
FROM payments
WHERE NOT EXISTS (
    SELECT FROM events
    WHERE events.namespace = payments.namespace AND events.resource = payments.payment_id
)
  AND NOT EXISTS (
    SELECT FROM disputes
    WHERE disputes.namespace = payments.namespace AND disputes.payment_id = payments.payment_id
)
  AND NOT EXISTS (
    SELECT FROM transfers
    WHERE transfers.namespace = payments.namespace AND transfers.payment_id = payments.payment_id
      AND transfers.movement LIKE 'refund%'
);

-- name: conflict_without_decision :many
-- Two events contradict each other about one payment, which is stopped: a person has to decide (make resolve).
SELECT id, namespace, payment_id, movement, booked_amount, booked_currency, reported_amount, reported_currency, event_id
FROM conflicts
WHERE kept IS NULL;

-- name: contradiction_without_conflict :many
-- A payment that was reported in two currencies has a conflict.
SELECT namespace, payment_id, currency
FROM payments
WHERE contradicted AND NOT EXISTS (
    SELECT FROM conflicts
    WHERE conflicts.namespace = payments.namespace AND conflicts.payment_id = payments.payment_id
);

-- name: payment_with_impossible_amounts :many
-- No payment is refunded beyond what was paid, and no amount is negative. (A bank may dispute more: fees, exchange
-- rates.)
SELECT namespace, payment_id, amount, captured, refunded, disputed
FROM payments
WHERE least(amount, captured, refunded, disputed) < 0
   OR (succeeded AND refunded > greatest(captured, amount));

-- name: payment_unlike_its_transfers :many
-- A payment's captured and refunded totals are the sums of its transfers, after decisions, and what was captured
-- outside the provider; a payment with an open conflict is excepted. After a decision only transfers in the payment's
-- currency count.
SELECT
    namespace, payment_id, captured, refunds_made, refunds_failed, captures_booked, refunds_booked,
    failed_refunds_booked
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
            coalesce(decided.reported_amount, transfers.amount) AS amount
        FROM transfers
        LEFT JOIN (
            SELECT DISTINCT ON (namespace, movement) namespace, movement, reported_amount, reported_currency
            FROM conflicts
            WHERE kept = 'reported'
            ORDER BY namespace, movement, decided_at DESC, id DESC
        ) AS decided USING (namespace, movement)
        LEFT JOIN (
            SELECT namespace, payment_id, currency AS kept_currency FROM payments WHERE decided
        ) AS kept USING (namespace, payment_id)
        WHERE kept_currency IS NULL OR kept_currency = coalesce(decided.reported_currency, transfers.currency)
    ) AS current_amounts
    GROUP BY namespace, payment_id
) AS booked USING (namespace, payment_id)
WHERE (captured - captured_outside, refunds_made, refunds_failed)
      <> (coalesce(captures_booked, 0), coalesce(refunds_booked, 0), coalesce(failed_refunds_booked, 0))
  AND NOT EXISTS (
      SELECT FROM conflicts
      WHERE kept IS NULL
        AND conflicts.namespace = payments.namespace AND conflicts.payment_id = payments.payment_id
  );

-- name: dispute_unlike_its_transfers :many
-- What a dispute withdrew and gave back are the sums of its transfers, after decisions. Payments with an open conflict
-- are excepted, and disputes with transfers of an earlier release, which did not keep these sums.
SELECT
    disputes.namespace, disputes.dispute_id, disputes.payment_id, withdrawn_amount, reinstated_amount, money_currency,
    withdrawals_booked, reinstatements_booked
FROM disputes
LEFT JOIN (
    SELECT
        namespace, dispute_id, currency,
        sum(amount) FILTER (WHERE split_part(movement, ':', 1) = 'dispute') AS withdrawals_booked,
        sum(amount) FILTER (WHERE split_part(movement, ':', 1) = 'dispute_reinstated') AS reinstatements_booked
    FROM (
        SELECT
            transfers.namespace, transfers.movement, transfers.dispute_id,
            coalesce(decided.reported_amount, transfers.amount) AS amount,
            coalesce(decided.reported_currency, transfers.currency) AS currency
        FROM transfers
        LEFT JOIN (
            SELECT DISTINCT ON (namespace, movement) namespace, movement, reported_amount, reported_currency
            FROM conflicts
            WHERE kept = 'reported'
            ORDER BY namespace, movement, decided_at DESC, id DESC
        ) AS decided USING (namespace, movement)
        WHERE transfers.dispute_id IS NOT NULL AND split_part(movement, ':', 1) LIKE 'dispute%'
    ) AS current_amounts
    GROUP BY namespace, dispute_id, currency
) AS booked
    ON booked.namespace = disputes.namespace AND booked.dispute_id = disputes.dispute_id
   AND booked.currency = money_currency
WHERE (withdrawn_amount, reinstated_amount)
      <> (coalesce(withdrawals_booked, 0), coalesce(reinstatements_booked, 0))
  AND NOT EXISTS (
      SELECT FROM conflicts
      WHERE kept IS NULL
        AND conflicts.namespace = disputes.namespace AND conflicts.payment_id = disputes.payment_id
  )
  AND NOT EXISTS (
      SELECT FROM transfers
      WHERE transfers.namespace = disputes.namespace AND transfers.dispute_id IS NULL
        AND transfers.movement IN ('dispute:' || disputes.dispute_id, 'dispute_reinstated:' || disputes.dispute_id)
  );

-- name: transfer_for_no_dispute :many
-- Money that was withdrawn or came back for a dispute has a row of that dispute.
SELECT namespace, movement, payment_id, dispute_id
FROM transfers
WHERE dispute_id IS NOT NULL AND NOT EXISTS (
    SELECT FROM disputes
    WHERE disputes.namespace = transfers.namespace AND disputes.dispute_id = transfers.dispute_id
);

-- name: payment_unlike_its_disputes :many
-- What is disputed of a payment is the sum of its disputes, in one currency (as `recompute_disputed` sums it up).
WITH each AS (
    SELECT
        namespace, payment_id, disputed_currency, max(disputed) AS disputed,
        bool_or(disputed > 0 AND status IN ('lost', 'partly_lost')) AS is_lost
    FROM disputes
    GROUP BY namespace, payment_id, disputed_currency, regexp_replace(dispute_id, ':2$', '')
),
sums AS (
    SELECT
        namespace, payment_id, disputed_currency, sum(disputed) AS disputed,
        bool_or(bool_or(is_lost)) OVER (PARTITION BY namespace, payment_id) AS charged_back
    FROM each
    GROUP BY namespace, payment_id, disputed_currency
),
expected AS (
    SELECT DISTINCT ON (namespace, payment_id) *
    FROM sums
    ORDER BY namespace, payment_id, (disputed > 0) DESC, disputed_currency
)
SELECT
    namespace, payment_id, payments.disputed, payments.disputed_currency, payments.charged_back,
    expected.disputed AS expected_disputed, expected.charged_back AS expected_charged_back
FROM payments
JOIN expected USING (namespace, payment_id)
WHERE payments.disputed_currency IS NOT NULL
  AND (payments.disputed, payments.disputed_currency, payments.charged_back)
      <> (expected.disputed, expected.disputed_currency, expected.charged_back);

-- name: transfer_of_the_other_mode :many
-- No event of the other mode than its source's moved money: test money is not booked as live.
SELECT transfers.namespace, transfers.movement, transfers.event_id, events_of_other_mode.source
FROM events_of_other_mode
JOIN transfers USING (namespace, event_id);

-- name: decision_that_is_not_booked :many
-- If a person decided that the reported amount is right, it is booked: under the transfer's key, or as a correction.
SELECT id, namespace, payment_id, movement, reported_amount, reported_currency
FROM conflicts
WHERE kept = 'reported' AND split_part(movement, ':', 1) <> 'currency' AND NOT EXISTS (
    SELECT FROM transfers
    WHERE transfers.namespace = conflicts.namespace
      AND transfers.movement IN (conflicts.movement, 'decided:' || conflicts.id)
      AND transfers.amount = conflicts.reported_amount AND transfers.currency = conflicts.reported_currency
);

-- name: correction_without_decision :many
-- A transfer is reversed only by a person's decision, and the reported amount is booked with it.
SELECT transfers.namespace, transfers.movement, transfers.payment_id
FROM transfers
WHERE split_part(movement, ':', 1) IN ('undone', 'decided') AND NOT EXISTS (
    SELECT FROM conflicts
    JOIN transfers AS other USING (namespace)
    WHERE conflicts.kept = 'reported' AND conflicts.namespace = transfers.namespace
      AND conflicts.id::text = split_part(transfers.movement, ':', 2)
      AND other.movement = CASE split_part(transfers.movement, ':', 1) WHEN 'undone' THEN 'decided' ELSE 'undone' END
                           || ':' || conflicts.id
);

-- name: transfer_without_event :many
-- Every transfer has an event that reported it.
SELECT transfers.namespace, transfers.movement, transfers.event_id
FROM transfers
LEFT JOIN events USING (namespace, event_id)
WHERE events.event_id IS NULL;

-- name: fact_held_back_for_no_conflict :many
-- Facts that waited for a decision are released with it.
SELECT namespace, event_id, payment_id, kind, object
FROM held_back
WHERE reason = 'conflict' AND released_at IS NULL AND NOT EXISTS (
    SELECT FROM conflicts
    WHERE conflicts.kept IS NULL
      AND conflicts.namespace = held_back.namespace AND conflicts.payment_id = held_back.payment_id
);

-- name: unconfirmed_money :many
-- What no signature proves, and the provider's API has not confirmed, moved no money.
SELECT transfers.namespace, transfers.movement, transfers.event_id, confirmations.state
FROM confirmations
JOIN transfers USING (namespace, event_id)
JOIN events USING (namespace, event_id)
WHERE confirmations.state NOT IN ('confirmed', 'released') AND events.signed NOT IN ('body', 'api');

-- name: hold_unlike_its_confirmation :many
-- Facts that no signature proves are on hold until the provider's API has confirmed their event, and no longer.
SELECT held_back.namespace, held_back.event_id, kind, object, released_at, state
FROM held_back
JOIN confirmations USING (namespace, event_id)
WHERE held_back.reason = 'unsigned' AND (released_at IS NOT NULL) <> (state IN ('confirmed', 'released'));

-- name: confirmation_without_event :many
-- The provider's API is asked only about events that are recorded.
SELECT confirmations.namespace, confirmations.event_id
FROM confirmations
LEFT JOIN events USING (namespace, event_id)
WHERE events.event_id IS NULL;

-- name: open_dead_letter_of_applied_event :many
-- The dead letter of an event that was applied later is closed.
SELECT dead_letters.id, dead_letters.namespace, dead_letters.event_id
FROM dead_letters
JOIN events USING (namespace, event_id)
WHERE dead_letters.state = 'open' AND events.committed_at > dead_letters.died_at;

-- name: operation_out_of_chain :many
-- Each row of the operators' log follows the one before and has the hash of its content: none was changed, added or
-- removed by hand.
WITH chain AS (
    SELECT
        *,
        lag(id, 1, 0::bigint) OVER (ORDER BY id) AS id_before,
        lag(hash, 1, '') OVER (ORDER BY id) AS hash_before
    FROM operations
),
checked AS (
    SELECT
        id, acted_at, actor, action, subject,
        concat_ws(
            ', ',
            CASE WHEN id <> id_before + 1 THEN 'the row before it is missing' END,
            CASE WHEN previous_hash IS DISTINCT FROM hash_before THEN 'it does not follow the row before it' END,
            CASE
                WHEN NOT isfinite(acted_at) THEN 'its content was changed'
                WHEN hash IS DISTINCT FROM operation_hash(
                    id, acted_at, actor, face, action, subject, reason, touched, details, previous_hash)
                    THEN 'its content was changed'
            END) AS wrong
    FROM chain
)
SELECT id, acted_at, actor, action, subject, wrong
FROM checked
WHERE wrong <> ''
ORDER BY id;
