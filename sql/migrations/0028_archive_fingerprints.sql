-- A worker learns from a small table that the archive cannot have a row, and looks only for the others
-- depends: 0027_payments_without_a_time

-- migrate: apply

-- Each key in the archives has two bytes of its digest in one of 262,144 buckets. Ten million events with all that is in
-- the archives of them need 65 MB, where the archives' keys have 1,500 MB and are read at random places. Where the bytes
-- are missing, the key is in no archive. Where they are there, it may be, and the archive is asked. Rows are only added,
-- by the transaction that inserts into the archive: the two are seen together, or neither.
CREATE TABLE archive_fingerprints (
    bucket       integer PRIMARY KEY,
    fingerprints bytea NOT NULL
) WITH (fillfactor = 80);
-- Digests cannot be compressed, and are read for each event.
ALTER TABLE archive_fingerprints ALTER COLUMN fingerprints SET STORAGE MAIN;

-- SHA-256, because it gives the same on every server for ever, which PostgreSQL does not promise of its own hashes.
CREATE FUNCTION digest_of(archive text, namespace text, key text) RETURNS bytea
    LANGUAGE sql STABLE
    AS $$ SELECT sha256(convert_to(archive || ':' || namespace || ':' || key, 'UTF8')) $$;

CREATE FUNCTION bucket_of(digest bytea) RETURNS integer
    LANGUAGE sql IMMUTABLE
    AS $$ SELECT (get_byte(digest, 0) << 10) | (get_byte(digest, 1) << 2) | (get_byte(digest, 2) >> 6) $$;

CREATE FUNCTION fingerprint_of(digest bytea) RETURNS bytea
    LANGUAGE sql IMMUTABLE
    AS $$ SELECT substr(digest, 4, 2) $$;

-- Returns those of the keys that an archive may have. All others it has not. OFFSET 0: the planner must not ask the
-- archive first.
CREATE FUNCTION find_fingerprints(archive text, namespaces text[], keys text[])
    RETURNS TABLE (namespace text, key text)
    LANGUAGE sql STABLE ROWS 1
    AS $$
    SELECT wanted.namespace, wanted.key
    FROM (
        SELECT named.namespace, named.key, digest_of(archive, named.namespace, named.key) AS digest
        FROM unnest(namespaces, keys) AS named (namespace, key)
        OFFSET 0
    ) AS wanted
    CROSS JOIN LATERAL (
        SELECT FROM archive_fingerprints
        WHERE archive_fingerprints.bucket = bucket_of(wanted.digest)
          AND position(fingerprint_of(wanted.digest) IN archive_fingerprints.fingerprints) > 0
        LIMIT 1
    ) AS known
    OFFSET 0
$$;

-- Keeps the fingerprints of all rows that any statement inserts into an archive. Its arguments: the archive's name in the
-- digests, and the column that is the key. In the order of the buckets, so that two statements cannot deadlock.
CREATE FUNCTION keep_fingerprints() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
BEGIN
    EXECUTE format(
        'INSERT INTO archive_fingerprints AS known (bucket, fingerprints)'
        ' SELECT bucket_of(digest), string_agg(fingerprint_of(digest), %L)'
        ' FROM (SELECT digest_of(%L, namespace, %I) AS digest FROM added OFFSET 0) AS digests'
        ' GROUP BY bucket_of(digest) ORDER BY bucket_of(digest)'
        ' ON CONFLICT (bucket) DO UPDATE SET fingerprints = known.fingerprints || excluded.fingerprints',
        ''::bytea, TG_ARGV[0], TG_ARGV[1]);
    RETURN NULL;
END
$$;

REVOKE ALL ON FUNCTION keep_fingerprints() FROM PUBLIC;

CREATE TRIGGER events_archive_keeps_fingerprints AFTER INSERT ON events_archive
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION keep_fingerprints('events', 'event_id');
CREATE TRIGGER payments_archive_keeps_fingerprints AFTER INSERT ON payments_archive
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION keep_fingerprints('payments', 'payment_id');
CREATE TRIGGER transfers_archive_keeps_fingerprints AFTER INSERT ON transfers_archive
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION keep_fingerprints('transfers', 'movement');

CREATE TRIGGER archive_fingerprints_are_kept BEFORE TRUNCATE ON archive_fingerprints
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();

INSERT INTO archive_fingerprints (bucket, fingerprints)
SELECT bucket_of(digest), string_agg(fingerprint_of(digest), '')
FROM (
    SELECT digest_of('events', namespace, event_id) AS digest FROM events_archive
    UNION ALL
    SELECT digest_of('payments', namespace, payment_id) FROM payments_archive
    UNION ALL
    SELECT digest_of('transfers', namespace, movement) FROM transfers_archive
) AS digests
GROUP BY bucket_of(digest)
ORDER BY bucket_of(digest);

-- As before, but the archive is asked only for what it may have.
CREATE OR REPLACE FUNCTION forget_archived_events(namespaces text[], event_ids text[])
    RETURNS TABLE (namespace text, event_id text)
    LANGUAGE plpgsql VOLATILE STRICT SECURITY DEFINER ROWS 1
    SET search_path = public, pg_temp
    SET enable_seqscan = off
    AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    DELETE FROM ONLY events
    USING (
        SELECT known.namespace, known.event_id
        FROM find_fingerprints('events', namespaces, event_ids) AS inserted (namespace, event_id)
        CROSS JOIN LATERAL (
            SELECT events_archive.namespace, events_archive.event_id
            FROM events_archive
            WHERE events_archive.namespace = inserted.namespace AND events_archive.event_id = inserted.event_id
            LIMIT 1
        ) AS known
    ) AS archived
    WHERE events.namespace = archived.namespace AND events.event_id = archived.event_id
    RETURNING events.namespace, events.event_id;
END
$$;

CREATE OR REPLACE FUNCTION forget_archived_transfers(namespaces text[], movements text[])
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
        FROM find_fingerprints('transfers', namespaces, movements) AS inserted (namespace, movement)
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

CREATE OR REPLACE FUNCTION bring_back_payments(namespaces text[], payment_ids text[]) RETURNS bigint
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
        FROM find_fingerprints('payments', namespaces, payment_ids) AS wanted (namespace, payment_id)
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

-- migrate: rollback

CREATE OR REPLACE FUNCTION forget_archived_events(namespaces text[], event_ids text[])
    RETURNS TABLE (namespace text, event_id text)
    LANGUAGE plpgsql VOLATILE STRICT SECURITY DEFINER ROWS 1
    SET search_path = public, pg_temp
    SET enable_seqscan = off
    AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    DELETE FROM ONLY events
    USING (
        SELECT known.namespace, known.event_id
        FROM unnest(namespaces, event_ids) AS inserted (namespace, event_id)
        CROSS JOIN LATERAL (
            SELECT events_archive.namespace, events_archive.event_id
            FROM events_archive
            WHERE events_archive.namespace = inserted.namespace AND events_archive.event_id = inserted.event_id
            LIMIT 1
        ) AS known
    ) AS archived
    WHERE events.namespace = archived.namespace AND events.event_id = archived.event_id
    RETURNING events.namespace, events.event_id;
END
$$;

CREATE OR REPLACE FUNCTION forget_archived_transfers(namespaces text[], movements text[])
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

CREATE OR REPLACE FUNCTION bring_back_payments(namespaces text[], payment_ids text[]) RETURNS bigint
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

DROP TRIGGER transfers_archive_keeps_fingerprints ON transfers_archive;
DROP TRIGGER payments_archive_keeps_fingerprints ON payments_archive;
DROP TRIGGER events_archive_keeps_fingerprints ON events_archive;
DROP TABLE archive_fingerprints;
DROP FUNCTION keep_fingerprints();
DROP FUNCTION find_fingerprints(text, text[], text[]);
DROP FUNCTION fingerprint_of(bytea);
DROP FUNCTION bucket_of(bytea);
DROP FUNCTION digest_of(text, text, text);
