-- Events that came long ago move into an archive, and stay events
-- depends: 0017_decided_rows

-- migrate: apply

-- `SELECT ... FROM events` reads both tables. Workers insert into the first only, so that the pages of its key, which
-- random ids touch one by one, are those of the last weeks.
CREATE TABLE events_archive (
    CONSTRAINT events_archive_pkey PRIMARY KEY (namespace, event_id)
) INHERITS (events);

CREATE INDEX events_archive_by_time ON events_archive
    USING brin (committed_at) WITH (pages_per_range = 128, autosummarize = on);
CREATE INDEX events_archive_by_payment ON events_archive
    USING brin (resource text_bloom_ops (n_distinct_per_range = 5000)) WITH (pages_per_range = 128, autosummarize = on);

CREATE TRIGGER events_archive_is_kept BEFORE TRUNCATE ON events_archive
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();

-- A foreign key sees the first table only. `make audit` finds duplicates without an event instead.
ALTER TABLE duplicates DROP CONSTRAINT duplicates_namespace_event_id_fkey;

-- Since when each archive is there. Workers of the release before know nothing of it, so that nothing moves for a while.
CREATE TABLE archives (
    name    text PRIMARY KEY,
    made_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO archives (name) VALUES ('events');

-- Refuses to move anything before every worker knows the archive.
CREATE FUNCTION require_archive(archive text, rolling_upgrade interval) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = public, pg_temp
    AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM archives WHERE archives.name = archive AND archives.made_at + rolling_upgrade <= now()) THEN
        RAISE EXCEPTION 'nothing of % moves yet: workers of the release before may still run', archive;
    END IF;
END
$$;

-- Returns the columns of a table that can be inserted, by name: a table that inherits may have them in another order.
CREATE FUNCTION columns_to_move(moved regclass) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = public, pg_temp
    AS $$
    SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum)
    FROM pg_attribute
    WHERE attrelid = moved AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
$$;

-- Moves the events in the pages from `first_page` up to `end_page` that were committed before a time. They keep the
-- order of time from one call to the next; within a call they are in the order of the key, so that a page of the key is
-- changed once. A worker that gets one of them again meanwhile waits for the end of the move.
CREATE FUNCTION archive_events(quiet_since timestamptz, first_page bigint, end_page bigint, rolling_upgrade interval)
    RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp
    SET lock_timeout = '100ms'
    AS $$
DECLARE
    removed  bigint;
    inserted bigint;
BEGIN
    PERFORM require_archive('events', rolling_upgrade);
    EXECUTE format(
        'WITH gone AS ('
        '    DELETE FROM ONLY events WHERE ctid >= $1 AND ctid < $2 AND committed_at < $3 RETURNING %1$s'
        '), kept AS ('
        '    INSERT INTO events_archive (%1$s) SELECT %1$s FROM gone ORDER BY namespace, event_id RETURNING 1'
        ') SELECT (SELECT count(*) FROM gone), (SELECT count(*) FROM kept)', columns_to_move('events'))
        INTO removed, inserted
        USING format('(%s,0)', first_page)::tid, format('(%s,0)', end_page)::tid, quiet_since;
    IF removed <> inserted THEN
        RAISE EXCEPTION '% events would have moved as %', removed, inserted;
    END IF;
    -- Statements planned while the archive was empty would read all of it.
    IF inserted > (SELECT reltuples FROM pg_class WHERE oid = 'events_archive'::regclass) THEN
        ANALYZE events_archive;
    END IF;
    RETURN inserted;
END
$$;

-- Takes back those of the events just inserted that are in the archive, and returns them: they were applied long ago.
-- VOLATILE, so that the statement in it sees what was moved and committed while the insert waited for the move.
CREATE FUNCTION forget_archived_events(namespaces text[], event_ids text[])
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

REVOKE ALL ON FUNCTION
    archive_events(timestamptz, bigint, bigint, interval), forget_archived_events(text[], text[])
FROM PUBLIC;

-- migrate: rollback

INSERT INTO events (
    namespace, event_id, source, provider, entry_id, type, resource, signed, occurred_at, received_at, committed_at, mode,
    account
)
SELECT
    namespace, event_id, source, provider, entry_id, type, resource, signed, occurred_at, received_at, committed_at, mode,
    account
FROM events_archive;
DROP TABLE events_archive;
ALTER TABLE duplicates ADD FOREIGN KEY (namespace, event_id) REFERENCES events (namespace, event_id);
DROP FUNCTION forget_archived_events(text[], text[]);
DROP FUNCTION archive_events(timestamptz, bigint, bigint, interval);
DROP FUNCTION columns_to_move(regclass);
DROP FUNCTION require_archive(text, interval);
DROP TABLE archives;
