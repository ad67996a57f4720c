-- Searching for events. All searches return the same columns, and rows that are older than a place: a time and a key.
-- An array of patterns that is null accepts everything. No search uses OFFSET.

-- name: read_size :one
-- Returns the size of the tables that are searched in windows: small ones need none.
SELECT
    pg_relation_size('events') + pg_relation_size('events_archive') + pg_relation_size('duplicates')
        + pg_relation_size('dead_letters') AS size_bytes;

-- name: search_events :many
-- Returns applied events of a window of time, the newest first. The window keeps it from reading all events: a BRIN
-- index on the time of commit finds the window's pages.
SELECT
    committed_at AS at, 'a' || namespace || '/' || event_id AS key, 'applied' AS status, namespace, event_id, source,
    type, resource AS payment, received_at, committed_at, NULL::text AS reason, NULL::bigint AS dead_letter_id, entry_id
FROM events
WHERE committed_at <= :before AND committed_at >= :since
  AND (committed_at < :before OR 'a' || namespace || '/' || event_id COLLATE "C" < :before_key::text)
  AND (:sources::text[] IS NULL OR source LIKE ANY (:sources)) AND NOT source LIKE ANY (:not_sources::text[])
  AND (:types::text[] IS NULL OR type LIKE ANY (:types)) AND NOT type LIKE ANY (:not_types::text[])
  AND (:namespaces::text[] IS NULL OR namespace LIKE ANY (:namespaces))
  AND NOT namespace LIKE ANY (:not_namespaces::text[])
  AND (:origins::text[] IS NULL OR events.origin = ANY (:origins))
ORDER BY committed_at DESC, 'a' || namespace || '/' || event_id COLLATE "C" DESC
LIMIT :limit;

-- name: search_events_by_id :many
-- Returns applied events by event ids, through the primary key, or by payments, through a BRIN index of Bloom filters:
-- one of each 128 pages, which names a page in a hundred too many. Costs the workers nothing, unlike a B-tree of
-- payments. The sum keeps a plan from walking through all times instead.
SELECT
    committed_at AS at, 'a' || namespace || '/' || event_id AS key, 'applied' AS status, namespace, event_id, source,
    type, resource AS payment, received_at, committed_at, NULL::text AS reason, NULL::bigint AS dead_letter_id, entry_id
FROM events
WHERE ((namespace = ANY (:known::text[]) AND event_id = ANY (:by_event::text[])) OR resource = ANY (:by_payment::text[]))
  AND committed_at + interval '0' <= :before AND committed_at + interval '0' >= :since
  AND (committed_at < :before OR 'a' || namespace || '/' || event_id COLLATE "C" < :before_key::text)
  AND (:events::text[] IS NULL OR event_id = ANY (:events))
  AND (:payments::text[] IS NULL OR resource = ANY (:payments))
  AND (:ids::text[] IS NULL OR event_id = ANY (:ids) OR resource = ANY (:ids))
  AND (:sources::text[] IS NULL OR source LIKE ANY (:sources)) AND NOT source LIKE ANY (:not_sources::text[])
  AND (:types::text[] IS NULL OR type LIKE ANY (:types)) AND NOT type LIKE ANY (:not_types::text[])
  AND (:namespaces::text[] IS NULL OR namespace LIKE ANY (:namespaces))
  AND NOT namespace LIKE ANY (:not_namespaces::text[])
  AND (:origins::text[] IS NULL OR events.origin = ANY (:origins))
ORDER BY committed_at DESC, 'a' || namespace || '/' || event_id COLLATE "C" DESC
LIMIT :limit;

-- name: search_dead_letters :many
-- Returns dead letters of a window of time, the newest first. Their entries, which may be large, are not read.
SELECT
    died_at AS at, 'd' || lpad(id::text, 20, '0') AS key, state AS status, namespace, event_id, source, type,
    resource AS payment, NULL::timestamptz AS received_at, NULL::timestamptz AS committed_at, reason,
    id AS dead_letter_id, entry_id
FROM dead_letters
WHERE died_at <= :before AND died_at >= :since
  AND (died_at < :before OR 'd' || lpad(id::text, 20, '0') COLLATE "C" < :before_key::text)
  AND state = ANY (:states::text[])
  AND (:events::text[] IS NULL OR event_id = ANY (:events))
  AND (:payments::text[] IS NULL OR resource = ANY (:payments))
  AND (:ids::text[] IS NULL OR event_id = ANY (:ids) OR resource = ANY (:ids))
  AND (:sources::text[] IS NULL OR source LIKE ANY (:sources))
  AND NOT coalesce(source, '') LIKE ANY (:not_sources::text[])
  AND (:types::text[] IS NULL OR type LIKE ANY (:types)) AND NOT coalesce(type, '') LIKE ANY (:not_types::text[])
  AND (:namespaces::text[] IS NULL OR namespace LIKE ANY (:namespaces))
  AND NOT coalesce(namespace, '') LIKE ANY (:not_namespaces::text[])
  AND (:reasons::text[] IS NULL OR reason ILIKE ANY (:reasons))
  AND (:origins::text[] IS NULL
       OR CASE WHEN 'origin'::bytea = ANY (field_names) THEN 'reconcile' ELSE 'delivery' END = ANY (:origins))
ORDER BY died_at DESC, id DESC
LIMIT :limit;

-- name: search_duplicates :many
-- Returns entries of a window of time whose event was applied before, the newest first.
SELECT
    recorded_at AS at, 'u' || duplicates.entry_id AS key, 'duplicate' AS status, namespace, event_id,
    duplicates.source, type, resource AS payment, duplicates.received_at, committed_at, NULL::text AS reason,
    NULL::bigint AS dead_letter_id, duplicates.entry_id
FROM duplicates
JOIN events USING (namespace, event_id)
WHERE recorded_at <= :before AND recorded_at >= :since
  AND (recorded_at < :before OR 'u' || duplicates.entry_id COLLATE "C" < :before_key::text)
  AND (:events::text[] IS NULL OR event_id = ANY (:events))
  AND (:payments::text[] IS NULL OR resource = ANY (:payments))
  AND (:ids::text[] IS NULL OR event_id = ANY (:ids) OR resource = ANY (:ids))
  AND (:sources::text[] IS NULL OR duplicates.source LIKE ANY (:sources))
  AND NOT duplicates.source LIKE ANY (:not_sources::text[])
  AND (:types::text[] IS NULL OR type LIKE ANY (:types)) AND NOT type LIKE ANY (:not_types::text[])
  AND (:namespaces::text[] IS NULL OR namespace LIKE ANY (:namespaces))
  AND NOT namespace LIKE ANY (:not_namespaces::text[])
  AND (:origins::text[] IS NULL OR events.origin = ANY (:origins))
ORDER BY recorded_at DESC, 'u' || duplicates.entry_id COLLATE "C" DESC
LIMIT :limit;

-- name: search_held :many
-- Returns events with facts on hold, the newest first. Events are joined after the limit where the query names nothing
-- that only they have.
WITH held AS (
    SELECT
        namespace, event_id, max(held_at) AS at, string_agg(DISTINCT reason, ', ' ORDER BY reason) AS reason
    FROM held_back
    WHERE released_at IS NULL
      AND (:reasons::text[] IS NULL OR reason ILIKE ANY (:reasons))
      AND (:payments::text[] IS NULL OR payment_id = ANY (:payments))
      AND (:events::text[] IS NULL OR event_id = ANY (:events))
      AND (:sources::text[] IS NULL OR source LIKE ANY (:sources)) AND NOT source LIKE ANY (:not_sources::text[])
      AND (:namespaces::text[] IS NULL OR namespace LIKE ANY (:namespaces))
      AND NOT namespace LIKE ANY (:not_namespaces::text[])
    GROUP BY namespace, event_id
),
newest AS (
    SELECT *
    FROM held
    WHERE held.at <= :before AND held.at >= :since
      AND (held.at < :before OR 'h' || namespace || '/' || event_id COLLATE "C" < :before_key::text)
    ORDER BY held.at DESC, 'h' || namespace || '/' || event_id COLLATE "C" DESC
    LIMIT CASE
        WHEN :types::text[] IS NULL AND :not_types::text[] = '{}' AND :ids::text[] IS NULL
             AND :origins::text[] IS NULL THEN :limit::bigint
    END
)
SELECT
    newest.at, 'h' || namespace || '/' || event_id AS key, 'held' AS status, namespace, event_id, source, type,
    resource AS payment, received_at, committed_at, newest.reason, NULL::bigint AS dead_letter_id, entry_id
FROM newest
JOIN events USING (namespace, event_id)
WHERE (:ids::text[] IS NULL OR event_id = ANY (:ids) OR resource = ANY (:ids))
  AND (:types::text[] IS NULL OR type LIKE ANY (:types)) AND NOT type LIKE ANY (:not_types::text[])
  AND (:origins::text[] IS NULL OR origin = ANY (:origins))
ORDER BY newest.at DESC, 'h' || namespace || '/' || event_id COLLATE "C" DESC
LIMIT :limit;

-- name: search_conflicts :many
-- Returns events in an open conflict, the newest first; an event once for each of its conflicts.
SELECT
    found_at AS at, 'c' || lpad(id::text, 20, '0') AS key, 'conflict' AS status, namespace, event_id, source, type,
    resource AS payment, received_at, committed_at, 'events disagree about ' || movement AS reason,
    NULL::bigint AS dead_letter_id, entry_id
FROM conflicts
JOIN events USING (namespace, event_id)
WHERE kept IS NULL
  AND found_at <= :before AND found_at >= :since
  AND (found_at < :before OR 'c' || lpad(id::text, 20, '0') COLLATE "C" < :before_key::text)
  AND (:reasons::text[] IS NULL OR 'events disagree about ' || movement ILIKE ANY (:reasons))
  AND (:events::text[] IS NULL OR event_id = ANY (:events))
  AND (:payments::text[] IS NULL OR payment_id = ANY (:payments))
  AND (:ids::text[] IS NULL OR event_id = ANY (:ids) OR payment_id = ANY (:ids))
  AND (:sources::text[] IS NULL OR source LIKE ANY (:sources)) AND NOT source LIKE ANY (:not_sources::text[])
  AND (:types::text[] IS NULL OR type LIKE ANY (:types)) AND NOT type LIKE ANY (:not_types::text[])
  AND (:namespaces::text[] IS NULL OR namespace LIKE ANY (:namespaces))
  AND NOT namespace LIKE ANY (:not_namespaces::text[])
  AND (:origins::text[] IS NULL OR events.origin = ANY (:origins))
ORDER BY found_at DESC, id DESC
LIMIT :limit;

-- name: search_other_mode :many
-- Returns events of the other mode than their source's, the newest first. Events are joined after the limit where the
-- query names nothing that only they have.
WITH newest AS (
    SELECT namespace, event_id, mode, recorded_at
    FROM events_of_other_mode
    WHERE recorded_at <= :before AND recorded_at >= :since
      AND (recorded_at < :before OR 'o' || namespace || '/' || event_id COLLATE "C" < :before_key::text)
      AND (:reasons::text[] IS NULL OR 'an event of the mode ' || mode ILIKE ANY (:reasons))
      AND (:events::text[] IS NULL OR event_id = ANY (:events))
      AND (:sources::text[] IS NULL OR source LIKE ANY (:sources)) AND NOT source LIKE ANY (:not_sources::text[])
      AND (:namespaces::text[] IS NULL OR namespace LIKE ANY (:namespaces))
      AND NOT namespace LIKE ANY (:not_namespaces::text[])
    ORDER BY recorded_at DESC, 'o' || namespace || '/' || event_id COLLATE "C" DESC
    LIMIT CASE
        WHEN :types::text[] IS NULL AND :not_types::text[] = '{}' AND :ids::text[] IS NULL
             AND :payments::text[] IS NULL AND :origins::text[] IS NULL THEN :limit::bigint
    END
)
SELECT
    recorded_at AS at, 'o' || namespace || '/' || event_id AS key, 'other_mode' AS status, namespace, event_id,
    events.source, type, events.resource AS payment, received_at, committed_at,
    'an event of the mode ' || newest.mode AS reason, NULL::bigint AS dead_letter_id, entry_id
FROM newest
JOIN events USING (namespace, event_id)
WHERE (:payments::text[] IS NULL OR events.resource = ANY (:payments))
  AND (:ids::text[] IS NULL OR event_id = ANY (:ids) OR events.resource = ANY (:ids))
  AND (:types::text[] IS NULL OR type LIKE ANY (:types)) AND NOT type LIKE ANY (:not_types::text[])
  AND (:origins::text[] IS NULL OR origin = ANY (:origins))
ORDER BY recorded_at DESC, 'o' || namespace || '/' || event_id COLLATE "C" DESC
LIMIT :limit;

-- name: read_marks :many
-- Returns which of the applied events of a page are in conflict, on hold or of the other mode, the first that is true.
SELECT DISTINCT ON (namespace, event_id) namespace, event_id, status, reason
FROM unnest(:namespace::text[], :event_id::text[]) AS page (namespace, event_id)
CROSS JOIN LATERAL (
    SELECT 1 AS rank, 'conflict' AS status, 'events disagree about ' || movement AS reason
    FROM conflicts
    WHERE kept IS NULL AND conflicts.namespace = page.namespace AND conflicts.event_id = page.event_id
    UNION ALL
    SELECT 2, 'held', held_back.reason
    FROM held_back
    WHERE released_at IS NULL AND held_back.namespace = page.namespace AND held_back.event_id = page.event_id
    UNION ALL
    SELECT 3, 'other_mode', 'an event of the mode ' || mode
    FROM events_of_other_mode
    WHERE events_of_other_mode.namespace = page.namespace AND events_of_other_mode.event_id = page.event_id
) AS marks
ORDER BY namespace, event_id, rank;

-- name: select_dead_letters :many
-- Returns the numbers of the open dead letters that a bulk act is about, the oldest first, up to a number that was shown
-- before.
SELECT id
FROM dead_letters
WHERE state = 'open' AND id <= coalesce(:up_to::bigint, id)
  AND died_at < :before AND died_at >= :since
  AND (:events::text[] IS NULL OR event_id = ANY (:events))
  AND (:payments::text[] IS NULL OR resource = ANY (:payments))
  AND (:ids::text[] IS NULL OR event_id = ANY (:ids) OR resource = ANY (:ids))
  AND (:sources::text[] IS NULL OR source LIKE ANY (:sources))
  AND NOT coalesce(source, '') LIKE ANY (:not_sources::text[])
  AND (:types::text[] IS NULL OR type LIKE ANY (:types)) AND NOT coalesce(type, '') LIKE ANY (:not_types::text[])
  AND (:namespaces::text[] IS NULL OR namespace LIKE ANY (:namespaces))
  AND NOT coalesce(namespace, '') LIKE ANY (:not_namespaces::text[])
  AND (:reasons::text[] IS NULL OR reason ILIKE ANY (:reasons))
  AND (:origins::text[] IS NULL
       OR CASE WHEN 'origin'::bytea = ANY (field_names) THEN 'reconcile' ELSE 'delivery' END = ANY (:origins))
ORDER BY id
LIMIT :limit;

-- name: select_unsigned :many
-- Returns the events with unsigned facts on hold that a bulk release is about, the oldest first.
WITH held AS (
    SELECT namespace, event_id, payment_id, source, min(held_at) AS held_at
    FROM held_back
    WHERE released_at IS NULL AND reason = 'unsigned'
    GROUP BY namespace, event_id, payment_id, source
)
SELECT namespace, event_id, payment_id, held.source
FROM held
JOIN events USING (namespace, event_id)
WHERE held_at < :before AND held_at >= :since
  AND (:events::text[] IS NULL OR event_id = ANY (:events))
  AND (:payments::text[] IS NULL OR payment_id = ANY (:payments))
  AND (:ids::text[] IS NULL OR event_id = ANY (:ids) OR payment_id = ANY (:ids))
  AND (:sources::text[] IS NULL OR held.source LIKE ANY (:sources))
  AND NOT held.source LIKE ANY (:not_sources::text[])
  AND (:types::text[] IS NULL OR type LIKE ANY (:types)) AND NOT type LIKE ANY (:not_types::text[])
  AND (:namespaces::text[] IS NULL OR namespace LIKE ANY (:namespaces))
  AND NOT namespace LIKE ANY (:not_namespaces::text[])
  AND (:origins::text[] IS NULL OR origin = ANY (:origins))
  AND (:reasons::text[] IS NULL OR 'unsigned' ILIKE ANY (:reasons))
ORDER BY held_at, namespace, event_id
LIMIT :limit;
