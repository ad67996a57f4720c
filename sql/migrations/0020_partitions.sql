-- Removed rows are counted for the partition that their entry was in
-- depends: 0019_retention

-- migrate: apply

-- Counts removed rows, by their entries and partitions: partition p has the numbers from p times 10^12 on, as
-- contract/keys.py says. With one partition nothing changes.
CREATE OR REPLACE FUNCTION count_removed_entries(entry_ids text[]) RETURNS void
    LANGUAGE sql
    SET search_path = public, pg_temp
    AS $$
    INSERT INTO removed_entries AS known (partition, epoch, slice, first_entry_id, last_entry_id, entries)
    SELECT
        removed.number[2] / 1000000000000, removed.epoch, removed.number[1] / (30 * 86400000::bigint),
        array_to_string(min(removed.number), '-'), array_to_string(max(removed.number), '-'), count(*)
    FROM (
        SELECT ids.number, coalesce((
            SELECT redis_beats.epoch
            FROM redis_beats
            WHERE redis_beats.epoch <> '' AND string_to_array(redis_beats.epoch, '-')::bigint[] <= ids.number
              AND (string_to_array(redis_beats.epoch, '-')::bigint[])[2] / 1000000000000
                  = ids.number[2] / 1000000000000
            ORDER BY string_to_array(redis_beats.epoch, '-')::bigint[] DESC
            LIMIT 1
        ), '') AS epoch
        FROM (SELECT string_to_array(entry_id, '-')::bigint[] AS number FROM unnest(entry_ids) AS entry_id) AS ids
    ) AS removed
    GROUP BY removed.number[2] / 1000000000000, removed.epoch, removed.number[1] / (30 * 86400000::bigint)
    ON CONFLICT (partition, epoch, slice) DO UPDATE SET
        first_entry_id = array_to_string(least(
            string_to_array(known.first_entry_id, '-')::bigint[],
            string_to_array(excluded.first_entry_id, '-')::bigint[]), '-'),
        last_entry_id = array_to_string(greatest(
            string_to_array(known.last_entry_id, '-')::bigint[],
            string_to_array(excluded.last_entry_id, '-')::bigint[]), '-'),
        entries = known.entries + excluded.entries
$$;

-- migrate: rollback

-- Counts removed rows, by their entries.
CREATE OR REPLACE FUNCTION count_removed_entries(entry_ids text[]) RETURNS void
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
