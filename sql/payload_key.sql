-- Swaps the primary keys of the payloads for the indexes that were built before, in a moment: nothing is read or built,
-- but for a partition that was made since and is as good as empty. Others wait meanwhile, and it waits for nobody for
-- longer than a second, because all workers would wait behind it.

DO $$
DECLARE
    partition record;
BEGIN
    PERFORM set_config('lock_timeout', '1s', true);
    LOCK TABLE public.payloads IN ACCESS EXCLUSIVE MODE;
    ALTER TABLE public.payloads DROP CONSTRAINT payloads_pkey;
    FOR partition IN
        SELECT found.relname AS name, index.relname AS built
        FROM pg_inherits
        JOIN pg_class AS found ON found.oid = inhrelid
        JOIN pg_index ON indrelid = found.oid AND indisvalid
        JOIN pg_class AS index ON index.oid = indexrelid AND index.relname = found.relname || '_by_time'
        WHERE inhparent = 'public.payloads'::regclass
    LOOP
        EXECUTE format(
            'ALTER TABLE public.%I ADD CONSTRAINT %I PRIMARY KEY USING INDEX %I',
            partition.name, partition.name || '_pkey', partition.built);
    END LOOP;
    ALTER TABLE public.payloads ADD CONSTRAINT payloads_pkey PRIMARY KEY (received_at, namespace, event_id);
END
$$;
