-- Payments that have been quiet for long move into an archive with their transfers, and come back before they change
-- depends: 0021_events_of_payment

-- migrate: apply

-- As with events: `SELECT ... FROM payments` and `FROM transfers` read both tables. A payment and all its transfers are
-- in one of the two. The holder of a payment's lock has it among those of late: the statement that takes the lock brings
-- it back.
CREATE TABLE payments_archive (
    CONSTRAINT payments_archive_pkey PRIMARY KEY (namespace, payment_id)
) INHERITS (payments);

CREATE TABLE transfers_archive (
    CONSTRAINT transfers_archive_pkey PRIMARY KEY (namespace, movement)
) INHERITS (transfers);

CREATE INDEX transfers_of_archived_payment ON transfers_archive (namespace, payment_id);

CREATE TRIGGER payments_archive_is_kept BEFORE TRUNCATE ON payments_archive
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();
CREATE TRIGGER transfers_archive_is_kept BEFORE TRUNCATE ON transfers_archive
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();

-- A transfer that leaves one table must be in the other when the statement ends, even for the owner.
CREATE FUNCTION refuse_loss() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = public, pg_temp
    SET enable_seqscan = off
    AS $$
BEGIN
    IF EXISTS (
        SELECT FROM gone
        LEFT JOIN LATERAL (
            SELECT true AS is_kept FROM transfers
            WHERE transfers.namespace = gone.namespace AND transfers.movement = gone.movement
            LIMIT 1
        ) AS other ON true
        WHERE other.is_kept IS NULL
    ) THEN
        RAISE EXCEPTION 'transfers are append-only: book a correction (make resolve) instead';
    END IF;
    RETURN NULL;
END
$$;

DROP TRIGGER transfers_are_append_only ON transfers;
CREATE TRIGGER transfers_are_append_only BEFORE UPDATE ON transfers
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER transfers_leave_for_the_archive_only AFTER DELETE ON transfers
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION refuse_loss();
CREATE TRIGGER transfers_archive_is_append_only BEFORE UPDATE ON transfers_archive
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER transfers_leave_the_archive_for_late_ones_only AFTER DELETE ON transfers_archive
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION refuse_loss();

INSERT INTO archives (name) VALUES ('payments');

-- Returns those of these payments that nothing has happened to since a time: no event that they know of, and no transfer.
-- Nobody waits for a decision about them, and no dispute is open: more would happen soon. Rows of before the rules about
-- currencies and amounts stay where they are, because they could not be inserted again.
CREATE FUNCTION find_quiet_payments(namespaces text[], payment_ids text[], quiet_since timestamptz)
    RETURNS TABLE (namespace text, payment_id text)
    LANGUAGE sql VOLATILE ROWS 500
    SET search_path = public, pg_temp
    AS $$
    SELECT payments.namespace, payments.payment_id
    FROM unnest(namespaces, payment_ids) AS wanted (namespace, payment_id)
    JOIN ONLY payments USING (namespace, payment_id)
    CROSS JOIN LATERAL (
        SELECT
            max(transfers.booked_at) AS booked_at,
            coalesce(bool_and(is_currency(transfers.currency) AND transfers.amount <= 100000000000000000), true) AS is_valid
        FROM ONLY transfers
        WHERE transfers.namespace = payments.namespace AND transfers.payment_id = payments.payment_id
    ) AS moved
    WHERE greatest(payments.last_occurred_at, moved.booked_at) < quiet_since
      AND moved.is_valid AND is_currency(payments.currency)
      AND NOT EXISTS (
          SELECT FROM conflicts
          WHERE conflicts.kept IS NULL
            AND conflicts.namespace = payments.namespace AND conflicts.payment_id = payments.payment_id)
      AND NOT EXISTS (
          SELECT FROM held_back
          WHERE held_back.released_at IS NULL
            AND held_back.namespace = payments.namespace AND held_back.payment_id = payments.payment_id)
      AND NOT EXISTS (
          SELECT FROM disputes
          WHERE disputes.status = 'open'
            AND disputes.namespace = payments.namespace AND disputes.payment_id = payments.payment_id)
$$;

-- Moves those quiet payments that are in the pages from `first_page` up to `end_page`, with their transfers, but for
-- payments that somebody else has locked. The locks are those of the workers (lock_resources).
CREATE FUNCTION archive_payments(
    quiet_since timestamptz, first_page bigint, end_page bigint, rolling_upgrade interval,
    OUT payments_moved bigint, OUT transfers_moved bigint
)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp
    SET lock_timeout = '100ms'
    AS $$
DECLARE
    namespaces  text[];
    payment_ids text[];
    inserted    bigint[];
BEGIN
    PERFORM require_archive('payments', rolling_upgrade);
    SELECT array_agg(old.namespace), array_agg(old.payment_id) INTO namespaces, payment_ids
    FROM ONLY payments AS old
    WHERE old.ctid >= format('(%s,0)', first_page)::tid AND old.ctid < format('(%s,0)', end_page)::tid
      AND coalesce(old.last_occurred_at < quiet_since, true);
    SELECT array_agg(quiet.namespace), array_agg(quiet.payment_id) INTO namespaces, payment_ids
    FROM (
        SELECT found.namespace, found.payment_id
        FROM find_quiet_payments(namespaces, payment_ids, quiet_since) AS found
        OFFSET 0
    ) AS quiet
    WHERE pg_try_advisory_xact_lock(hashtextextended(quiet.namespace || ':' || quiet.payment_id, 0));
    -- Before they were locked, a worker may have changed them: they are found again.
    EXECUTE format(
        'WITH quiet AS MATERIALIZED ('
        '    SELECT namespace, payment_id FROM find_quiet_payments($1, $2, $3)'
        '), old_payments AS ('
        '    DELETE FROM ONLY payments USING quiet'
        '    WHERE payments.namespace = quiet.namespace AND payments.payment_id = quiet.payment_id'
        '    RETURNING payments.*'
        '), old_transfers AS ('
        '    DELETE FROM ONLY transfers USING quiet'
        '    WHERE transfers.namespace = quiet.namespace AND transfers.payment_id = quiet.payment_id'
        '    RETURNING transfers.*'
        '), new_payments AS ('
        '    INSERT INTO payments_archive (%1$s) SELECT %1$s FROM old_payments ORDER BY namespace, payment_id RETURNING 1'
        '), new_transfers AS ('
        '    INSERT INTO transfers_archive (%2$s) SELECT %2$s FROM old_transfers ORDER BY namespace, movement RETURNING 1'
        ') SELECT (SELECT count(*) FROM old_payments), (SELECT count(*) FROM old_transfers),'
        '         ARRAY[(SELECT count(*) FROM new_payments), (SELECT count(*) FROM new_transfers)]',
        columns_to_move('payments'), columns_to_move('transfers'))
        INTO payments_moved, transfers_moved, inserted
        USING namespaces, payment_ids, quiet_since;
    IF ARRAY[payments_moved, transfers_moved] <> inserted THEN
        RAISE EXCEPTION '% payments and % transfers would have moved as %', payments_moved, transfers_moved, inserted;
    END IF;
    -- Statements planned while the archive was empty would read all of it.
    IF payments_moved > (SELECT reltuples FROM pg_class WHERE oid = 'payments_archive'::regclass)
       OR transfers_moved > (SELECT reltuples FROM pg_class WHERE oid = 'transfers_archive'::regclass) THEN
        ANALYZE payments_archive, transfers_archive;
    END IF;
END
$$;

-- Brings those of these payments that are in the archive back, with their transfers, and returns their number. To be
-- called only while their locks are held: nobody else moves them then. VOLATILE, so that it sees what was moved while
-- the lock was waited for.
CREATE FUNCTION bring_back_payments(namespaces text[], payment_ids text[]) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = public, pg_temp
    SET enable_seqscan = off
    AS $$
DECLARE
    archived_namespaces  text[];
    archived_payment_ids text[];
    counts               bigint[];
BEGIN
    SELECT array_agg(archived.namespace), array_agg(archived.payment_id)
    INTO archived_namespaces, archived_payment_ids
    FROM (
        SELECT DISTINCT known.namespace, known.payment_id
        FROM unnest(namespaces, payment_ids) AS wanted (namespace, payment_id)
        CROSS JOIN LATERAL (
            SELECT payments_archive.namespace, payments_archive.payment_id
            FROM payments_archive
            WHERE payments_archive.namespace = wanted.namespace AND payments_archive.payment_id = wanted.payment_id
            LIMIT 1
        ) AS known
    ) AS archived;
    IF archived_namespaces IS NULL THEN
        RETURN 0;
    END IF;
    EXECUTE format(
        'WITH wanted AS MATERIALIZED ('
        '    SELECT namespace, payment_id FROM unnest($1, $2) AS wanted (namespace, payment_id)'
        '), old_payments AS ('
        '    DELETE FROM payments_archive USING wanted'
        '    WHERE payments_archive.namespace = wanted.namespace AND payments_archive.payment_id = wanted.payment_id'
        '    RETURNING payments_archive.*'
        '), old_transfers AS ('
        '    DELETE FROM transfers_archive USING wanted'
        '    WHERE transfers_archive.namespace = wanted.namespace AND transfers_archive.payment_id = wanted.payment_id'
        '    RETURNING transfers_archive.*'
        '), new_payments AS ('
        '    INSERT INTO payments (%1$s) SELECT %1$s FROM old_payments ORDER BY namespace, payment_id RETURNING 1'
        '), new_transfers AS ('
        '    INSERT INTO transfers (%2$s) SELECT %2$s FROM old_transfers ORDER BY namespace, movement RETURNING 1'
        ') SELECT ARRAY[(SELECT count(*) FROM old_payments) - (SELECT count(*) FROM new_payments),'
        '               (SELECT count(*) FROM old_transfers) - (SELECT count(*) FROM new_transfers)]',
        columns_to_move('payments'), columns_to_move('transfers'))
        INTO counts
        USING archived_namespaces, archived_payment_ids;
    IF counts <> ARRAY[0, 0]::bigint[] THEN
        RAISE EXCEPTION 'payments or transfers would be lost on their way back: %', counts;
    END IF;
    RETURN cardinality(archived_namespaces);
END
$$;

-- Takes back those of the transfers just inserted that are in the archive, booked for another payment, and returns them:
-- two events contradict each other. VOLATILE, so that it sees what was moved while the insert waited for the move.
CREATE FUNCTION forget_archived_transfers(namespaces text[], movements text[])
    RETURNS TABLE (namespace text, movement text)
    LANGUAGE plpgsql VOLATILE STRICT SECURITY DEFINER ROWS 1
    SET search_path = public, pg_temp
    SET enable_seqscan = off
    AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    DELETE FROM ONLY transfers
    USING (
        SELECT known.namespace, known.movement
        FROM unnest(namespaces, movements) AS inserted (namespace, movement)
        CROSS JOIN LATERAL (
            SELECT transfers_archive.namespace, transfers_archive.movement
            FROM transfers_archive
            WHERE transfers_archive.namespace = inserted.namespace AND transfers_archive.movement = inserted.movement
            LIMIT 1
        ) AS known
    ) AS archived
    WHERE transfers.namespace = archived.namespace AND transfers.movement = archived.movement
    RETURNING transfers.namespace, transfers.movement;
END
$$;

REVOKE ALL ON FUNCTION
    archive_payments(timestamptz, bigint, bigint, interval), bring_back_payments(text[], text[]),
    forget_archived_transfers(text[], text[])
FROM PUBLIC;

-- Returns a transfer, from either table. A function of its own, because PostgreSQL takes a table for empty that others
-- inherit from, and so would read all of it, for each row, with a plan made while it was small.
CREATE FUNCTION find_transfer(of_namespace text, key text) RETURNS TABLE (amount bigint, currency text, payment_id text)
    LANGUAGE sql STABLE ROWS 1
    SET search_path = public, pg_temp
    SET enable_seqscan = off
    AS $$
    SELECT transfers.amount, transfers.currency, transfers.payment_id
    FROM transfers
    WHERE transfers.namespace = of_namespace AND transfers.movement = key
    LIMIT 1
$$;

-- As before, but read by those who hold the payments' locks only: their transfers are not in the archive.
CREATE OR REPLACE FUNCTION reported_transfers(namespaces text[], payment_ids text[])
    RETURNS TABLE (
        namespace text, payment_id text, movement text, dispute_id text,
        debit_account text, credit_account text, amount bigint, currency text, event_id text
    )
    LANGUAGE sql STABLE ROWS 100
    AS $$
    WITH touched AS (
        SELECT DISTINCT batch.namespace, batch.payment_id
        FROM unnest(namespaces, payment_ids) AS batch (namespace, payment_id)
    )
    SELECT
        booked.namespace, booked.payment_id, booked.movement,
        coalesce(booked.dispute_id, substr(booked.movement, strpos(booked.movement, ':') + 1)),
        booked.debit_account, booked.credit_account, coalesce(decided.reported_amount, booked.amount),
        coalesce(decided.reported_currency, booked.currency), booked.event_id
    FROM touched
    JOIN ONLY transfers AS booked ON booked.namespace = touched.namespace AND booked.payment_id = touched.payment_id
    LEFT JOIN LATERAL (
        SELECT conflicts.reported_amount, conflicts.reported_currency
        FROM conflicts
        WHERE conflicts.kept = 'reported'
          AND conflicts.namespace = booked.namespace AND conflicts.movement = booked.movement
        ORDER BY conflicts.decided_at DESC, conflicts.id DESC
        LIMIT 1
    ) AS decided ON true
    UNION ALL
    SELECT
        conflicts.namespace, conflicts.payment_id, conflicts.movement,
        coalesce(conflicts.dispute_id, substr(conflicts.movement, strpos(conflicts.movement, ':') + 1)),
        conflicts.debit_account, conflicts.credit_account, conflicts.reported_amount, conflicts.reported_currency,
        conflicts.event_id
    FROM touched
    JOIN conflicts ON conflicts.namespace = touched.namespace AND conflicts.payment_id = touched.payment_id
    WHERE conflicts.kept IS NULL
    UNION ALL
    SELECT
        held_back.namespace, held_back.payment_id, held_back.movement,
        coalesce(held_back.dispute_id, substr(held_back.movement, strpos(held_back.movement, ':') + 1)),
        held_back.debit_account, held_back.credit_account, held_back.amount, held_back.currency, held_back.event_id
    FROM touched
    JOIN held_back ON held_back.namespace = touched.namespace AND held_back.payment_id = touched.payment_id
    WHERE held_back.reason = 'conflict' AND held_back.released_at IS NULL
$$;

-- migrate: rollback

SELECT bring_back_payments(array_agg(namespace), array_agg(payment_id)) FROM payments_archive;
DROP TABLE transfers_archive;
DROP TABLE payments_archive;
DROP TRIGGER transfers_leave_for_the_archive_only ON transfers;
DROP TRIGGER transfers_are_append_only ON transfers;
CREATE TRIGGER transfers_are_append_only BEFORE UPDATE OR DELETE ON transfers
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
DROP FUNCTION forget_archived_transfers(text[], text[]);
DROP FUNCTION bring_back_payments(text[], text[]);
DROP FUNCTION archive_payments(timestamptz, bigint, bigint, interval);
DROP FUNCTION find_transfer(text, text);
DROP FUNCTION find_quiet_payments(text[], text[], timestamptz);
DROP FUNCTION refuse_loss();
DELETE FROM archives WHERE name = 'payments';
CREATE OR REPLACE FUNCTION reported_transfers(namespaces text[], payment_ids text[])
    RETURNS TABLE (
        namespace text, payment_id text, movement text, dispute_id text,
        debit_account text, credit_account text, amount bigint, currency text, event_id text
    )
    LANGUAGE sql STABLE ROWS 100
    AS $$
    WITH touched AS (
        SELECT DISTINCT batch.namespace, batch.payment_id
        FROM unnest(namespaces, payment_ids) AS batch (namespace, payment_id)
    )
    SELECT
        booked.namespace, booked.payment_id, booked.movement,
        coalesce(booked.dispute_id, substr(booked.movement, strpos(booked.movement, ':') + 1)),
        booked.debit_account, booked.credit_account, coalesce(decided.reported_amount, booked.amount),
        coalesce(decided.reported_currency, booked.currency), booked.event_id
    FROM touched
    JOIN transfers AS booked ON booked.namespace = touched.namespace AND booked.payment_id = touched.payment_id
    LEFT JOIN LATERAL (
        SELECT conflicts.reported_amount, conflicts.reported_currency
        FROM conflicts
        WHERE conflicts.kept = 'reported'
          AND conflicts.namespace = booked.namespace AND conflicts.movement = booked.movement
        ORDER BY conflicts.decided_at DESC, conflicts.id DESC
        LIMIT 1
    ) AS decided ON true
    UNION ALL
    SELECT
        conflicts.namespace, conflicts.payment_id, conflicts.movement,
        coalesce(conflicts.dispute_id, substr(conflicts.movement, strpos(conflicts.movement, ':') + 1)),
        conflicts.debit_account, conflicts.credit_account, conflicts.reported_amount, conflicts.reported_currency,
        conflicts.event_id
    FROM touched
    JOIN conflicts ON conflicts.namespace = touched.namespace AND conflicts.payment_id = touched.payment_id
    WHERE conflicts.kept IS NULL
    UNION ALL
    SELECT
        held_back.namespace, held_back.payment_id, held_back.movement,
        coalesce(held_back.dispute_id, substr(held_back.movement, strpos(held_back.movement, ':') + 1)),
        held_back.debit_account, held_back.credit_account, held_back.amount, held_back.currency, held_back.event_id
    FROM touched
    JOIN held_back ON held_back.namespace = touched.namespace AND held_back.payment_id = touched.payment_id
    WHERE held_back.reason = 'conflict' AND held_back.released_at IS NULL
$$;
