-- Every entry that was added to the stream is recorded (applied, a duplicate, or dead-lettered) or still in the stream.
-- XINFO STREAM counts the stream's side; these queries count Postgres' side. Entry ids are compared as numbers: `9-0`
-- is before `10-0`.

-- name: count_recorded_entries :many
-- Counts the recorded entries of each partition's present epoch, from its first id to the last id seen. The number of an
-- entry's id says its partition (contract/keys.py). Also those whose rows were removed when they were old.
SELECT
    epochs.partition,
    count(recorded.id) + coalesce((
        SELECT sum(removed_entries.entries)
        FROM removed_entries
        WHERE removed_entries.partition = epochs.partition
          AND string_to_array(first_entry_id, '-')::bigint[] >= string_to_array(epochs.first_id, '-')::bigint[]
          AND string_to_array(last_entry_id, '-')::bigint[] <= string_to_array(epochs.last_id, '-')::bigint[]
    ), 0)::bigint AS entries
FROM unnest(:partition::bigint[], :first_id::text[], :last_id::text[]) AS epochs (partition, first_id, last_id)
LEFT JOIN (
    SELECT string_to_array(entry_id, '-')::bigint[] AS id
    FROM (
        SELECT entry_id FROM events
        UNION ALL
        SELECT entry_id FROM duplicates
        UNION ALL
        SELECT entry_id FROM dead_letters
    ) AS every
) AS recorded
    ON recorded.id[2] / :numbers_of_partition::bigint = epochs.partition
    AND recorded.id BETWEEN string_to_array(epochs.first_id, '-')::bigint[]
        AND string_to_array(epochs.last_id, '-')::bigint[]
GROUP BY epochs.partition, epochs.first_id, epochs.last_id;

-- name: count_unrecorded_entries :one
-- Counts those of these entries that are not recorded yet.
SELECT count(*)
FROM unnest(:entry_ids::text[]) AS waiting (entry_id)
WHERE NOT EXISTS (SELECT FROM events WHERE events.entry_id = waiting.entry_id)
  AND NOT EXISTS (SELECT FROM duplicates WHERE duplicates.entry_id = waiting.entry_id)
  AND NOT EXISTS (SELECT FROM dead_letters WHERE dead_letters.entry_id = waiting.entry_id);

-- name: find_unrecorded_entries :many
-- Returns those of these entries that are not recorded.
SELECT waiting.entry_id
FROM unnest(:entry_ids::text[]) AS waiting (entry_id)
WHERE NOT EXISTS (SELECT FROM events WHERE events.entry_id = waiting.entry_id)
  AND NOT EXISTS (SELECT FROM duplicates WHERE duplicates.entry_id = waiting.entry_id)
  AND NOT EXISTS (SELECT FROM dead_letters WHERE dead_letters.entry_id = waiting.entry_id)
ORDER BY waiting.entry_id;

-- name: find_recorded_beyond :many
-- Returns recorded entries after the last one of their partition's stream, with their event where it is known.
SELECT recorded.entry_id, recorded.namespace, recorded.event_id, count(*) OVER () AS total
FROM unnest(:partition::bigint[], :last_id::text[]) AS streams (partition, last_id)
JOIN (
    SELECT entry_id, namespace, event_id FROM events
    UNION ALL
    SELECT entry_id, namespace, event_id FROM duplicates
    UNION ALL
    SELECT entry_id, namespace, event_id FROM dead_letters
) AS recorded
    ON (string_to_array(recorded.entry_id, '-')::bigint[])[2] / :numbers_of_partition::bigint = streams.partition
    AND string_to_array(recorded.entry_id, '-')::bigint[] > string_to_array(streams.last_id, '-')::bigint[]
ORDER BY string_to_array(recorded.entry_id, '-')::bigint[]
LIMIT :limit;

-- name: find_lost_events :many
-- Returns those of these events that are neither applied nor a dead letter, and whose loss nobody has acknowledged.
-- `entry_id` is null for an event that was committed, as Redis says.
SELECT marked.namespace, marked.event_id, marked.entry_id
FROM unnest(:namespace::text[], :event_id::text[], :entry_id::text[]) AS marked (namespace, event_id, entry_id)
WHERE NOT EXISTS (
    SELECT FROM events WHERE events.namespace = marked.namespace AND events.event_id = marked.event_id
)
AND NOT EXISTS (
    SELECT FROM dead_letters
    WHERE dead_letters.namespace = marked.namespace AND dead_letters.event_id = marked.event_id
      AND (dead_letters.entry_id = marked.entry_id OR dead_letters.state = 'open')
)
AND NOT EXISTS (
    SELECT
    FROM acknowledgements
    CROSS JOIN LATERAL jsonb_array_elements(findings) AS finding
    CROSS JOIN LATERAL jsonb_array_elements(finding -> 'rows') AS lost
    WHERE finding ->> 'name' = 'lost_event'
      AND lost ->> 'namespace' = marked.namespace AND lost ->> 'event_id' = marked.event_id
      AND lost ->> 'entry_id' IS NOT DISTINCT FROM marked.entry_id
)
ORDER BY marked.namespace, marked.event_id;
