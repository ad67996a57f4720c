-- What a person has decided stays: a comparison with a provider's list does not take it for missing
-- depends: 0032_reconcile_requests

-- migrate: apply

-- When somebody decided that the finding may stay: it is closed, and not found again while the provider says the same.
-- What is missing is not added then.
ALTER TABLE reconcile_findings
    ADD COLUMN accepted_at timestamptz,
    ADD CONSTRAINT reconcile_findings_accepted_check CHECK (accepted_at IS NULL OR resolved_at IS NOT NULL);

-- As before, but a discarded dead letter of an event is emptied, and not removed.
CREATE OR REPLACE FUNCTION remove_dead_letters(kept_days integer, before_entry text, rows_max integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
DECLARE
    old_ids bigint[];
    removed text[];
    emptied bigint;
BEGIN
    IF kept_days IS NULL OR kept_days < 1 OR before_entry IS NULL OR rows_max IS NULL THEN
        RAISE EXCEPTION 'dead letters are kept for at least a day, and while their entry may be in the stream';
    END IF;
    old_ids := ARRAY(
        SELECT old.id
        FROM dead_letters AS old
        WHERE old.state IN ('replayed', 'discarded')
          AND NOT (old.state = 'discarded' AND old.event_id IS NOT NULL AND old.reason = '(removed)')
          AND old.died_at < now() - make_interval(days => kept_days)
          AND coalesce(old.state_changed_at, old.died_at) < now() - make_interval(days => kept_days)
          AND string_to_array(old.entry_id, '-')::bigint[] < string_to_array(before_entry, '-')::bigint[]
        ORDER BY old.died_at
        LIMIT rows_max
    );
    -- Its id stays: the provider lists the event for longer, and it would be taken for one that never arrived.
    WITH changed AS (
        UPDATE dead_letters
        SET field_names = '{}', field_values = '{}', traceback = '', reason = '(removed)'
        WHERE dead_letters.id = ANY (old_ids) AND dead_letters.state = 'discarded' AND dead_letters.event_id IS NOT NULL
        RETURNING dead_letters.id
    )
    SELECT count(*) INTO emptied FROM changed;
    WITH gone AS (
        DELETE FROM dead_letters
        WHERE dead_letters.id = ANY (old_ids)
          AND (dead_letters.state = 'replayed' OR (dead_letters.state = 'discarded' AND dead_letters.event_id IS NULL))
        RETURNING dead_letters.entry_id
    )
    SELECT coalesce(array_agg(gone.entry_id), '{}') INTO removed FROM gone;
    PERFORM count_removed_entries(removed);
    RETURN cardinality(removed) + emptied;
END
$$;

-- migrate: rollback

CREATE OR REPLACE FUNCTION remove_dead_letters(kept_days integer, before_entry text, rows_max integer) RETURNS bigint
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

ALTER TABLE reconcile_findings
    DROP CONSTRAINT reconcile_findings_accepted_check,
    DROP COLUMN accepted_at;
