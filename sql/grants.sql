-- The rights of the role that workers and operators' commands use. It owns nothing of ours: it reads everything,
-- inserts, and updates what may change. `migrate` runs this after the migrations, as the owner of the tables, in a
-- transaction whose settings payments.role and payments.password name the role.

DO $$
DECLARE
    role_name constant text := current_setting('payments.role');
    made_here constant text := 'made by `python -m sql migrate` of payment-webhooks';
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
        EXECUTE format('CREATE ROLE %I LOGIN PASSWORD %L', role_name, current_setting('payments.password'));
        EXECUTE format('COMMENT ON ROLE %I IS %L', role_name, made_here);
    ELSIF shobj_description(quote_ident(role_name)::regrole, 'pg_authid') = made_here THEN
        EXECUTE format('ALTER ROLE %I PASSWORD %L', role_name, current_setting('payments.password'));
    END IF;
END
$$;

DO $$
DECLARE
    role_name constant text := current_setting('payments.role');
    ours constant jsonb := '{
        "_pogo_migration": "SELECT",
        "_pogo_version": "SELECT",
        "acknowledgements": "SELECT, INSERT",
        "archive_fingerprints": "SELECT",
        "archives": "SELECT",
        "audits": "SELECT, INSERT, UPDATE",
        "balances": "SELECT",
        "commit_guard": "SELECT, INSERT, DELETE",
        "confirmations": "SELECT, INSERT, UPDATE",
        "conflicts": "SELECT, INSERT, UPDATE",
        "dead_letters": "SELECT, INSERT, UPDATE",
        "disputes": "SELECT, INSERT, UPDATE",
        "duplicates": "SELECT, INSERT",
        "events": "SELECT, INSERT",
        "events_archive": "SELECT",
        "events_of_other_mode": "SELECT, INSERT",
        "held_back": "SELECT, INSERT, UPDATE",
        "maintenance": "SELECT, INSERT, UPDATE",
        "notifications": "SELECT, INSERT, UPDATE",
        "operations": "SELECT, INSERT",
        "payloads": "SELECT, INSERT",
        "payments": "SELECT, INSERT, UPDATE",
        "payments_archive": "SELECT",
        "reconcile_findings": "SELECT, INSERT, UPDATE, DELETE",
        "reconciliations": "SELECT, INSERT, UPDATE",
        "redis_beats": "SELECT, INSERT, UPDATE",
        "removed_entries": "SELECT",
        "restores": "SELECT, INSERT, UPDATE",
        "transfers": "SELECT, INSERT",
        "transfers_archive": "SELECT",
        "unfinished": "SELECT, INSERT, DELETE"
    }';
    of_a_team constant text := 'SELECT, INSERT, UPDATE, DELETE';
    -- What it does to the tables that it may not change: each function checks by itself what it removes.
    functions constant text[] := ARRAY[
        'ensure_payload_partitions(integer)',
        'archive_events(timestamptz, bigint, bigint, interval)',
        'archive_payments(timestamptz, bigint, bigint, interval)',
        'bring_back_payments(text[], text[])',
        'forget_archived_events(text[], text[])',
        'forget_archived_transfers(text[], text[])',
        'drop_payload_partition(integer)',
        'delete_default_payloads(integer, integer)',
        'oldest_payload()',
        'remove_duplicates(integer, text, bigint, bigint)',
        'remove_dead_letters(integer, text, integer)',
        'erase_payloads(text[], text[])'
    ];
    function text;
    relation record;
BEGIN
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), role_name);
    EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', role_name);
    FOR relation IN
        SELECT relname AS name, relispartition AS is_partition
        FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v') AND relowner = current_user::regrole
    LOOP
        EXECUTE format('REVOKE ALL ON public.%I FROM %I', relation.name, role_name);
        -- A partition is reached through its table only.
        CONTINUE WHEN relation.is_partition;
        EXECUTE format('GRANT %s ON public.%I TO %I', coalesce(ours ->> relation.name, of_a_team), relation.name, role_name);
    END LOOP;
    FOREACH function IN ARRAY functions LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION public.%s FROM PUBLIC', function);
        EXECUTE format('GRANT EXECUTE ON FUNCTION public.%s TO %I', function, role_name);
    END LOOP;
    -- Tables that the owner makes later are a team's own: its handlers write to them.
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT %s ON TABLES TO %I', of_a_team, role_name);
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE ON SEQUENCES TO %I', role_name);
END
$$;
