-- Workers own nothing: the function that makes partitions runs with the rights of its owner
-- depends: 0004_reported

-- migrate: apply

-- Workers own nothing, so that this function makes partitions with the rights of its owner. A partition gets none of
-- the rights that the owner grants on new tables by default: it is reached through its table only.
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

-- migrate: rollback

ALTER FUNCTION ensure_payload_partitions(integer) SECURITY INVOKER RESET search_path;
