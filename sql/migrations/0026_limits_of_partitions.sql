-- Partitions of the payloads are made for a few months only, and autovacuum comes to each of them soon
-- depends: 0025_erasure

-- migrate: apply

-- As before, but the workers' role may call it, and a number that is wrong would make thousands of tables.
--
-- By default autovacuum comes after a fifth of a table is new, so that it reads and marks the pages of a large month
-- again after a checkpoint. Partitions inherit no storage parameters.
CREATE OR REPLACE FUNCTION ensure_payload_partitions(months_ahead integer) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
DECLARE
    months_ahead_max constant integer := 24;
    month   timestamp;
    name    text;
    starts  timestamptz;
    ends    timestamptz;
    grantee regrole;
BEGIN
    IF months_ahead IS NULL OR months_ahead < 0 OR months_ahead > months_ahead_max THEN
        RAISE EXCEPTION 'partitions of payloads are made for 0 to % months ahead, not for %', months_ahead_max,
            coalesce(months_ahead::text, 'null');
    END IF;
    FOR month IN
        SELECT generate_series(
            date_trunc('month', now() AT TIME ZONE 'UTC'),
            date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => months_ahead),
            interval '1 month')
    LOOP
        name := 'payloads_' || to_char(month, 'YYYY_MM');
        CONTINUE WHEN to_regclass(quote_ident(name)) IS NOT NULL;
        LOCK TABLE payloads_default IN ACCESS EXCLUSIVE MODE;
        CONTINUE WHEN to_regclass(quote_ident(name)) IS NOT NULL;
        starts := month AT TIME ZONE 'UTC';
        ends := (month + interval '1 month') AT TIME ZONE 'UTC';
        EXECUTE format(
            'CREATE TABLE %I (LIKE payloads) '
            'WITH (autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 50000)', name);
        FOR grantee IN
            SELECT DISTINCT acl.grantee::regrole FROM pg_class, aclexplode(relacl) AS acl
            WHERE pg_class.oid = to_regclass(quote_ident(name)) AND acl.grantee NOT IN (0, relowner)
        LOOP
            EXECUTE format('REVOKE ALL ON %I FROM %s', name, grantee);
        END LOOP;
        EXECUTE format(
            'WITH waiting AS (DELETE FROM payloads_default WHERE received_at >= %L AND received_at < %L RETURNING *) '
            'INSERT INTO %I SELECT * FROM waiting', starts, ends, name);
        EXECUTE format('ALTER TABLE payloads ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', name, starts, ends);
    END LOOP;
END
$$;

-- Workers write to the partitions meanwhile: this lock excludes only other changes of them.
DO $$
DECLARE
    part regclass;
BEGIN
    FOR part IN SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'payloads'::regclass LOOP
        EXECUTE format(
            'ALTER TABLE %s SET '
            '(autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 50000)', part);
    END LOOP;
END
$$;

-- migrate: rollback

DO $$
DECLARE
    part regclass;
BEGIN
    FOR part IN SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'payloads'::regclass LOOP
        EXECUTE format(
            'ALTER TABLE %s RESET (autovacuum_vacuum_insert_scale_factor, autovacuum_vacuum_insert_threshold)', part);
    END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION ensure_payload_partitions(months_ahead integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    month   timestamp;
    name    text;
    starts  timestamptz;
    ends    timestamptz;
    grantee regrole;
BEGIN
    FOR month IN
        SELECT generate_series(
            date_trunc('month', now() AT TIME ZONE 'UTC'),
            date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => months_ahead),
            interval '1 month')
    LOOP
        name := 'payloads_' || to_char(month, 'YYYY_MM');
        CONTINUE WHEN to_regclass(quote_ident(name)) IS NOT NULL;
        LOCK TABLE payloads_default IN ACCESS EXCLUSIVE MODE;
        CONTINUE WHEN to_regclass(quote_ident(name)) IS NOT NULL;
        starts := month AT TIME ZONE 'UTC';
        ends := (month + interval '1 month') AT TIME ZONE 'UTC';
        EXECUTE format('CREATE TABLE %I (LIKE payloads)', name);
        FOR grantee IN
            SELECT DISTINCT acl.grantee::regrole FROM pg_class, aclexplode(relacl) AS acl
            WHERE pg_class.oid = to_regclass(quote_ident(name)) AND acl.grantee NOT IN (0, relowner)
        LOOP
            EXECUTE format('REVOKE ALL ON %I FROM %s', name, grantee);
        END LOOP;
        EXECUTE format(
            'WITH waiting AS (DELETE FROM payloads_default WHERE received_at >= %L AND received_at < %L RETURNING *) '
            'INSERT INTO %I SELECT * FROM waiting', starts, ends, name);
        EXECUTE format('ALTER TABLE payloads ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', name, starts, ends);
    END LOOP;
END
$$;
