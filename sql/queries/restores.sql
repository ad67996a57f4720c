-- Noticing that Redis or Postgres was restored from an older copy, by what each of them must know of the other.
-- `key_prefix` names one stream: the installation's prefix, and `prefix:{p}` of partition p where that is not 0.

-- name: read_watch :one
-- Returns what Redis must know: a counter that is at least this, the epoch of its stream ('' if it is not known yet), and
-- the number of restores of Postgres. And which server this is, by its start; a standby may be behind.
SELECT
    pg_postmaster_start_time() AS server,
    pg_is_in_recovery() AS is_standby,
    coalesce((SELECT epoch FROM redis_beats WHERE key_prefix = :key_prefix), '') AS epoch,
    coalesce((SELECT beat FROM redis_beats WHERE key_prefix = :key_prefix), 0) AS beat,
    coalesce((SELECT max(number) FROM restores WHERE key_prefix = :key_prefix), 0) AS restores;

-- name: keep_beat :exec
-- Keeps a value of Redis' counter that Redis has had on its disk for seconds.
INSERT INTO redis_beats (key_prefix, beat)
VALUES (:key_prefix, :beat)
ON CONFLICT (key_prefix) DO UPDATE SET beat = greatest(redis_beats.beat, excluded.beat), seen_at = now();

-- name: keep_epoch :exec
-- Keeps the epoch of the stream, unless another worker has kept one since `known` was read.
INSERT INTO redis_beats (key_prefix, beat, epoch)
VALUES (:key_prefix, 0, :epoch)
ON CONFLICT (key_prefix) DO UPDATE SET epoch = excluded.epoch
WHERE coalesce(redis_beats.epoch, '') = :known;

-- name: find_missing_events :many
-- Returns those of these events that Postgres does not have, although their commits were confirmed.
SELECT namespace, event_id
FROM unnest(:namespace::text[], :event_id::text[]) AS confirmed (namespace, event_id)
WHERE NOT EXISTS (
    SELECT FROM events WHERE events.namespace = confirmed.namespace AND events.event_id = confirmed.event_id
);

-- name: record_restore :one
-- Records a restore, unless one of that server was recorded in the last seconds: each worker finds its own proof.
INSERT INTO restores (key_prefix, server, noticed_by, proof, number)
SELECT :key_prefix, :server, :noticed_by, :proof, :number
WHERE :number::bigint IS NOT NULL OR NOT EXISTS (
    SELECT FROM restores
    WHERE key_prefix = :key_prefix AND server = :server AND acknowledgement IS NULL
      AND noticed_at > now() - make_interval(secs => :same_within_s)
)
RETURNING id;

-- name: find_highest_entry_id :one
-- Returns the partition's highest entry id among the newest rows; null without any. Reads the last pages, and the
-- rows of a day: they fill the place of those that were moved or removed.
-- The page is computed in a query of its own, because PostgreSQL takes `pg_relation_size` for volatile and would compute
-- it again for each row of the whole table.
SELECT entry_id
FROM (
    SELECT entry_id FROM ONLY events WHERE committed_at > now() - interval '1 day'
    UNION ALL
    SELECT entry_id FROM ONLY events
    WHERE ctid >= (SELECT ('(' || greatest(
        pg_relation_size('events') / current_setting('block_size')::bigint - :pages::bigint, 0) || ',0)')::tid)
    UNION ALL
    SELECT entry_id FROM duplicates WHERE recorded_at > now() - interval '1 day'
    UNION ALL
    SELECT entry_id FROM dead_letters WHERE died_at > now() - interval '1 day'
    UNION ALL
    SELECT entry_id FROM duplicates
    WHERE ctid >= (SELECT ('(' || greatest(
        pg_relation_size('duplicates') / current_setting('block_size')::bigint - :pages, 0) || ',0)')::tid)
    UNION ALL
    SELECT entry_id FROM dead_letters
    WHERE ctid >= (SELECT ('(' || greatest(
        pg_relation_size('dead_letters') / current_setting('block_size')::bigint - :pages, 0) || ',0)')::tid)
) AS newest
WHERE (string_to_array(entry_id, '-')::bigint[])[2] / :numbers_of_partition::bigint = :partition::bigint
ORDER BY string_to_array(entry_id, '-')::bigint[] DESC
LIMIT 1;

-- name: list_open_restores :many
-- Returns the restores that nobody has acknowledged, of all partitions.
SELECT id, server, noticed_at, noticed_by, proof
FROM restores
WHERE (key_prefix = :key_prefix OR starts_with(key_prefix, :key_prefix || ':{')) AND acknowledgement IS NULL
ORDER BY id;

-- name: read_acknowledged_difference :one
-- Returns the difference that was last acknowledged in this epoch of the stream.
SELECT difference
FROM acknowledgements
WHERE key_prefix = :key_prefix AND epoch = :epoch
ORDER BY id DESC
LIMIT 1;

-- name: acknowledge :one
-- Keeps a person's decision, with everything that was found.
INSERT INTO acknowledgements (actor, reason, key_prefix, epoch, difference, findings)
VALUES (:actor, :reason, :key_prefix, :epoch, :difference, :findings::jsonb)
RETURNING id;

-- name: close_restores :many
-- Closes the restores that a person has acknowledged: those that were shown, and no later one.
UPDATE restores
SET acknowledgement = :acknowledgement
WHERE id = ANY (:ids::bigint[]) AND acknowledgement IS NULL
RETURNING id;

-- name: read_partitions :one
-- Returns how many partitions Postgres knows of, because workers have read them: a wiped Redis knows none.
SELECT coalesce(max(substring(key_prefix FROM '\{([0-9]+)\}$')::integer), 0) + 1 AS partitions
FROM redis_beats
WHERE starts_with(key_prefix, :key_prefix || ':{');

-- name: know_partition :exec
-- Lets Postgres know of a partition before its first entry.
INSERT INTO redis_beats (key_prefix, beat)
VALUES (:key_prefix, 0)
ON CONFLICT (key_prefix) DO NOTHING;
