-- Every entry that ever entered the stream is applied, a duplicate, dead, or still there. The stream's side of the sum
-- comes from XINFO STREAM; these count Postgres' side. Ids are compared as numbers: `9-0` comes before `10-0`.

-- name: count_recorded_entries :one
-- Entries with a fate, among those of the stream's present epoch: from its first id (`first_id`) to the last id seen (`last_id`).
SELECT count(*)
FROM (
    SELECT entry_id FROM events
    UNION ALL
    SELECT entry_id FROM duplicates
    UNION ALL
    SELECT entry_id FROM dead_letters
) AS recorded
WHERE string_to_array(entry_id, '-')::bigint[]
    BETWEEN string_to_array(:first_id, '-')::bigint[] AND string_to_array(:last_id, '-')::bigint[];

-- name: count_unrecorded_entries :one
-- Among entries that were still in the stream: those without a fate yet.
SELECT count(*)
FROM unnest(:entry_ids::text[]) AS waiting (entry_id)
WHERE NOT EXISTS (SELECT FROM events WHERE events.entry_id = waiting.entry_id)
  AND NOT EXISTS (SELECT FROM duplicates WHERE duplicates.entry_id = waiting.entry_id)
  AND NOT EXISTS (SELECT FROM dead_letters WHERE dead_letters.entry_id = waiting.entry_id);

-- name: find_unrecorded_entries :many
-- Among entries that should have a fate by now: those without one.
SELECT waiting.entry_id
FROM unnest(:entry_ids::text[]) AS waiting (entry_id)
WHERE NOT EXISTS (SELECT FROM events WHERE events.entry_id = waiting.entry_id)
  AND NOT EXISTS (SELECT FROM duplicates WHERE duplicates.entry_id = waiting.entry_id)
  AND NOT EXISTS (SELECT FROM dead_letters WHERE dead_letters.entry_id = waiting.entry_id)
ORDER BY waiting.entry_id;
