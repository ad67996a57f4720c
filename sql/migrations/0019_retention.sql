-- What is removed after a time, and what workers do once a day
-- depends: 0018_archive_of_events

-- migrate: apply

-- One row for each step of the daily maintenance. A worker claims a step until a time, and renews the claim while it
-- works, so that one does it at a time, and another goes on when it dies.
CREATE TABLE maintenance (
    step          text PRIMARY KEY,
    next_at       timestamptz NOT NULL DEFAULT now(),
    claimed_by    text,
    claimed_until timestamptz,
    succeeded_at  timestamptz,
    -- What the last run did, or why it failed, as a sentence.
    outcome       text NOT NULL DEFAULT '',
    failed_at     timestamptz,
    failure       text,
    CHECK ((claimed_by IS NULL) = (claimed_until IS NULL)),
    CHECK ((failed_at IS NULL) = (failure IS NULL))
);

-- How many rows of duplicates and dead letters were removed: their entries still count in the account of the stream.
-- A row is of entries of one epoch, which `epoch` names by its first entry ('' before the first that is known), and of
-- 30 days of the entries' clock.
CREATE TABLE removed_entries (
    partition      smallint NOT NULL DEFAULT 0,
    epoch          text NOT NULL,
    slice          bigint NOT NULL,
    first_entry_id text NOT NULL CHECK (first_entry_id ~ '^[0-9]+-[0-9]+$'),
    last_entry_id  text NOT NULL CHECK (last_entry_id ~ '^[0-9]+-[0-9]+$'),
    entries        bigint NOT NULL CHECK (entries > 0),
    PRIMARY KEY (partition, epoch, slice)
);

CREATE TRIGGER removed_entries_are_kept BEFORE TRUNCATE ON removed_entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();

-- The payloads that a person's decision will read again: of events with facts on hold, or in an open conflict.
CREATE FUNCTION payloads_in_use() RETURNS TABLE (namespace text, event_id text, received_at timestamptz)
    LANGUAGE sql STABLE ROWS 100
    SET search_path = public, pg_temp
    AS $$
    SELECT events.namespace, events.event_id, events.received_at
    FROM (
        SELECT held_back.namespace, held_back.event_id FROM held_back WHERE held_back.released_at IS NULL
        UNION
        SELECT conflicts.namespace, conflicts.event_id FROM conflicts WHERE conflicts.kept IS NULL
    ) AS open
    JOIN events USING (namespace, event_id)
$$;

-- Workers own nothing, so these functions remove for them. Each checks by itself that what it removes is old enough.

-- Drops the oldest monthly partition whose payloads are all older than `kept_days`; no row without one. Waits for
-- its locks so shortly that no worker's transaction is refused meanwhile: the caller tries again. Payloads in use move
-- to the default partition; more than 200 are refused, because the table is locked while they move.
CREATE FUNCTION drop_payload_partition(kept_days integer) RETURNS TABLE (dropped text, bytes bigint, moved bigint)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp
    SET lock_timeout = '100ms'
    SET datestyle = 'ISO'
    SET timezone = 'UTC'
    AS $$
DECLARE
    moved_max constant bigint := 200;
BEGIN
    IF kept_days IS NULL OR kept_days < 1 THEN
        RAISE EXCEPTION 'payloads are kept for at least a day';
    END IF;
    SELECT month.name, month.bytes INTO dropped, bytes
    FROM (
        SELECT child.relname::text AS name, pg_total_relation_size(child.oid) AS bytes,
               substring(pg_get_expr(child.relpartbound, child.oid) FROM 'TO \(''([^'']+)''\)')::timestamptz AS ends
        FROM pg_inherits
        JOIN pg_class AS child ON child.oid = pg_inherits.inhrelid
        WHERE pg_inherits.inhparent = 'payloads'::regclass AND NOT pg_inherits.inhdetachpending
    ) AS month
    WHERE month.ends <= now() - make_interval(days => kept_days)
    ORDER BY month.ends
    LIMIT 1;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    EXECUTE format('SELECT count(*) FROM payloads_in_use() JOIN %I USING (namespace, event_id, received_at)', dropped)
        INTO moved;
    IF moved > moved_max THEN
        RAISE EXCEPTION '% stays: it has the payloads of % events that are on hold or in an open conflict, which are '
            'read again when somebody decides (make conflicts)', dropped, moved;
    END IF;
    LOCK TABLE payloads_default IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('ALTER TABLE payloads DETACH PARTITION %I', dropped);
    EXECUTE format(
        'INSERT INTO payloads SELECT month.* FROM %I AS month JOIN payloads_in_use() USING (namespace, event_id, '
        'received_at)', dropped);
    GET DIAGNOSTICS moved = ROW_COUNT;
    EXECUTE format('DROP TABLE %I', dropped);
    RETURN NEXT;
END
$$;

-- Deletes up to `rows_max` payloads of the default partition that are older than `kept_days` and not in use.
CREATE FUNCTION delete_default_payloads(kept_days integer, rows_max integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
DECLARE
    deleted bigint;
BEGIN
    IF kept_days IS NULL OR kept_days < 1 OR rows_max IS NULL THEN
        RAISE EXCEPTION 'payloads are kept for at least a day';
    END IF;
    DELETE FROM payloads_default WHERE ctid = ANY (ARRAY(
        SELECT old.ctid
        FROM payloads_default AS old
        WHERE old.received_at < now() - make_interval(days => kept_days)
          AND NOT EXISTS (
              SELECT FROM payloads_in_use() AS used
              WHERE used.namespace = old.namespace AND used.event_id = old.event_id
          )
        LIMIT rows_max
    ));
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN deleted;
END
$$;

-- Returns when the oldest payloads that are kept may have been received: the beginning of the oldest month with any.
CREATE FUNCTION oldest_payload() RETURNS timestamptz
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = public, pg_temp
    SET datestyle = 'ISO'
    SET timezone = 'UTC'
    AS $$
    SELECT least(
        (
            SELECT min(substring(pg_get_expr(child.relpartbound, child.oid) FROM 'FROM \(''([^'']+)''\)')::timestamptz)
            FROM pg_inherits
            JOIN pg_class AS child ON child.oid = pg_inherits.inhrelid
            WHERE pg_inherits.inhparent = 'payloads'::regclass AND pg_relation_size(child.oid) > 0
        ),
        (SELECT min(first.received_at) FROM (SELECT received_at FROM payloads_default LIMIT 1000) AS first)
    )
$$;

-- Counts removed rows, by their entries.
CREATE FUNCTION count_removed_entries(entry_ids text[]) RETURNS void
    LANGUAGE sql
    SET search_path = public, pg_temp
    AS $$
    INSERT INTO removed_entries AS known (epoch, slice, first_entry_id, last_entry_id, entries)
    SELECT
        removed.epoch, removed.number[1] / (30 * 86400000::bigint),
        array_to_string(min(removed.number), '-'), array_to_string(max(removed.number), '-'), count(*)
    FROM (
        SELECT ids.number, coalesce((
            SELECT redis_beats.epoch
            FROM redis_beats
            WHERE redis_beats.epoch <> '' AND string_to_array(redis_beats.epoch, '-')::bigint[] <= ids.number
            ORDER BY string_to_array(redis_beats.epoch, '-')::bigint[] DESC
            LIMIT 1
        ), '') AS epoch
        FROM (SELECT string_to_array(entry_id, '-')::bigint[] AS number FROM unnest(entry_ids) AS entry_id) AS ids
    ) AS removed
    GROUP BY removed.epoch, removed.number[1] / (30 * 86400000::bigint)
    ON CONFLICT (partition, epoch, slice) DO UPDATE SET
        first_entry_id = array_to_string(least(
            string_to_array(known.first_entry_id, '-')::bigint[],
            string_to_array(excluded.first_entry_id, '-')::bigint[]), '-'),
        last_entry_id = array_to_string(greatest(
            string_to_array(known.last_entry_id, '-')::bigint[],
            string_to_array(excluded.last_entry_id, '-')::bigint[]), '-'),
        entries = known.entries + excluded.entries
$$;

-- Removes the duplicates older than `kept_days` in the pages from `first_page` up to `end_page`, and counts them. Only
-- entries before `before_entry` are removed: one that is still in the stream would be recorded, and counted, again.
CREATE FUNCTION remove_duplicates(kept_days integer, before_entry text, first_page bigint, end_page bigint)
    RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
DECLARE
    removed text[];
BEGIN
    IF kept_days IS NULL OR kept_days < 1 OR before_entry IS NULL THEN
        RAISE EXCEPTION 'duplicates are kept for at least a day, and while their entry may be in the stream';
    END IF;
    WITH gone AS (
        DELETE FROM duplicates
        WHERE duplicates.ctid >= format('(%s,0)', first_page)::tid AND duplicates.ctid < format('(%s,0)', end_page)::tid
          AND duplicates.recorded_at < now() - make_interval(days => kept_days)
          AND string_to_array(duplicates.entry_id, '-')::bigint[] < string_to_array(before_entry, '-')::bigint[]
        RETURNING duplicates.entry_id
    )
    SELECT coalesce(array_agg(gone.entry_id), '{}') INTO removed FROM gone;
    PERFORM count_removed_entries(removed);
    RETURN cardinality(removed);
END
$$;

-- Removes up to `rows_max` dead letters that were replayed or discarded more than `kept_days` ago, and counts them;
-- only those of entries before `before_entry`. Open ones stay.
CREATE FUNCTION remove_dead_letters(kept_days integer, before_entry text, rows_max integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
DECLARE
    removed text[];
BEGIN
    IF kept_days IS NULL OR kept_days < 1 OR before_entry IS NULL OR rows_max IS NULL THEN
        RAISE EXCEPTION 'dead letters are kept for at least a day, and while their entry may be in the stream';
    END IF;
    WITH gone AS (
        DELETE FROM dead_letters
        WHERE dead_letters.state IN ('replayed', 'discarded') AND dead_letters.id = ANY (ARRAY(
            SELECT old.id
            FROM dead_letters AS old
            WHERE old.state IN ('replayed', 'discarded')
              AND old.died_at < now() - make_interval(days => kept_days)
              AND coalesce(old.state_changed_at, old.died_at) < now() - make_interval(days => kept_days)
              AND string_to_array(old.entry_id, '-')::bigint[] < string_to_array(before_entry, '-')::bigint[]
            ORDER BY old.died_at
            LIMIT rows_max
        ))
        RETURNING dead_letters.entry_id
    )
    SELECT coalesce(array_agg(gone.entry_id), '{}') INTO removed FROM gone;
    PERFORM count_removed_entries(removed);
    RETURN cardinality(removed);
END
$$;

REVOKE ALL ON FUNCTION
    drop_payload_partition(integer), delete_default_payloads(integer, integer), oldest_payload(),
    count_removed_entries(text[]), remove_duplicates(integer, text, bigint, bigint),
    remove_dead_letters(integer, text, integer)
FROM PUBLIC;

-- migrate: rollback

DROP FUNCTION remove_dead_letters(integer, text, integer);
DROP FUNCTION remove_duplicates(integer, text, bigint, bigint);
DROP FUNCTION count_removed_entries(text[]);
DROP FUNCTION oldest_payload();
DROP FUNCTION delete_default_payloads(integer, integer);
DROP FUNCTION drop_payload_partition(integer);
DROP FUNCTION payloads_in_use();
DROP TABLE removed_entries;
DROP TABLE maintenance;
