-- Events that their signature does not prove: what is to be asked of their provider's API, and what it said.

-- name: ask_for :exec
-- Records, with the events, that their provider's API is to be asked about them: by the worker that has claimed them
-- already, or by any.
INSERT INTO confirmations (namespace, event_id, source, payment_id, claimed_by, next_at)
SELECT namespace, event_id, source, payment_id, claimed_by, now() + make_interval(secs => lease_s)
FROM unnest(
    :namespace::text[], :event_id::text[], :source::text[], :payment_id::text[], :claimed_by::text[], :lease_s::float8[]
) AS batch (namespace, event_id, source, payment_id, claimed_by, lease_s)
ON CONFLICT (namespace, event_id) DO NOTHING;

-- name: ask_for_held_back :one
-- Asks for events that were held back before their source's API was asked, or by a worker that does not ask; the oldest
-- first, up to a limit. Returns their number.
WITH held AS (
    SELECT DISTINCT held_at, namespace, event_id
    FROM held_back
    WHERE reason = 'unsigned' AND source = :source AND released_at IS NULL AND NOT EXISTS (
        SELECT FROM confirmations
        WHERE confirmations.namespace = held_back.namespace AND confirmations.event_id = held_back.event_id
    )
    ORDER BY held_at, namespace, event_id
    LIMIT :limit
),
asked AS (
    INSERT INTO confirmations (namespace, event_id, source, payment_id)
    SELECT namespace, event_id, :source, its.resource
    FROM held
    CROSS JOIN LATERAL (
        SELECT resource
        FROM events
        WHERE events.namespace = held.namespace AND events.event_id = held.event_id
        LIMIT 1
    ) AS its
    ON CONFLICT (namespace, event_id) DO NOTHING
    RETURNING 1
)
SELECT count(*) AS asked FROM asked;

-- name: claim_due :many
-- Claims events of a source that are due, the longest due first. Another worker may claim them when the lease is over.
WITH due AS (
    SELECT namespace, event_id
    FROM confirmations
    WHERE source = :source AND state = 'due' AND next_at <= now()
    ORDER BY next_at
    LIMIT :limit
    FOR UPDATE SKIP LOCKED
)
UPDATE confirmations
SET claimed_by = :claimer, next_at = now() + make_interval(secs => :lease_s)
FROM due
WHERE confirmations.namespace = due.namespace AND confirmations.event_id = due.event_id
RETURNING
    confirmations.namespace, confirmations.event_id, tries,
    extract(epoch FROM now() - recorded_at)::float8 AS age_s,
    extract(epoch FROM now() - first_answer_at)::float8 AS since_first_answer_s;

-- name: put_off :exec
-- Gives a claim back: it is due again after a while. `is_answer`: the API has answered, and its answer decided nothing.
UPDATE confirmations
SET claimed_by = NULL,
    next_at = now() + make_interval(secs => :wait_s),
    reason = :reason,
    tries = tries + :is_answer::boolean::integer,
    first_answer_at = CASE WHEN :is_answer THEN coalesce(first_answer_at, now()) ELSE first_answer_at END
WHERE namespace = :namespace AND event_id = :event_id AND state = 'due' AND claimed_by = :claimer;

-- name: confirm :many
-- Records, in the transaction that books them, that the API confirms these events, and what it says, and takes their facts
-- off hold. Returns those that were due still: the others are decided, and book nothing again.
WITH confirmed AS (
    UPDATE confirmations
    SET state = 'confirmed', decided_at = now(), claimed_by = NULL, tries = tries + 1, reason = '',
        first_answer_at = coalesce(first_answer_at, batch.fetched_at),
        reported = batch.reported, answered = batch.answered,
        fetched = batch.fetched, fetched_type = batch.fetched_type, fetched_at = batch.fetched_at
    FROM unnest(
        :namespace::text[], :event_id::text[], :reported::jsonb[], :answered::jsonb[], :fetched::bytea[],
        :fetched_type::text[], :fetched_at::timestamptz[]
    ) AS batch (namespace, event_id, reported, answered, fetched, fetched_type, fetched_at)
    WHERE confirmations.namespace = batch.namespace AND confirmations.event_id = batch.event_id AND state = 'due'
    RETURNING confirmations.namespace, confirmations.event_id
),
released AS (
    UPDATE held_back SET released_at = now()
    FROM confirmed
    WHERE held_back.namespace = confirmed.namespace AND held_back.event_id = confirmed.event_id
      AND reason = 'unsigned' AND released_at IS NULL
)
SELECT namespace, event_id FROM confirmed;

-- name: decide_against :one
-- Records why an event is not booked, with both sides where the API has said something. Returns whether it was due.
UPDATE confirmations
SET state = :state, decided_at = now(), claimed_by = NULL, tries = tries + 1, reason = :reason,
    first_answer_at = coalesce(first_answer_at, now()),
    reported = :reported::jsonb, answered = :answered::jsonb,
    fetched = :fetched::bytea, fetched_type = :fetched_type::text, fetched_at = :fetched_at::timestamptz
WHERE namespace = :namespace AND event_id = :event_id AND state = 'due'
RETURNING true AS was_due;

-- name: count_due :many
-- Counts what is asked for, by source, with the age of the oldest, of at most `limit` events.
SELECT source, count(*) AS events, extract(epoch FROM now() - min(recorded_at))::float8 AS oldest_s
FROM (SELECT source, recorded_at FROM confirmations WHERE state = 'due' LIMIT :limit) AS due
GROUP BY source
ORDER BY source;

-- name: count_decided_against :many
-- Counts, of a source or of one of its events, what was decided against, by state: events whose payload is kept, so that
-- their API can be asked again, and the others.
SELECT state, count(payloads.event_id) AS askable, count(*) - count(payloads.event_id) AS not_kept
FROM confirmations
JOIN events USING (namespace, event_id)
LEFT JOIN payloads USING (namespace, event_id, received_at)
WHERE confirmations.source = :source AND state IN ('disagrees', 'not_found', 'failed')
  AND (:event_id::text IS NULL OR confirmations.event_id = :event_id)
GROUP BY state
ORDER BY state;

-- name: ask_again :many
-- Makes up to `limit` of them due, as if they had just been recorded, and returns them; what was decided first, first.
WITH chosen AS (
    SELECT confirmations.namespace, confirmations.event_id
    FROM confirmations
    JOIN events USING (namespace, event_id)
    JOIN payloads USING (namespace, event_id, received_at)
    WHERE confirmations.source = :source AND state IN ('disagrees', 'not_found', 'failed')
      AND (:event_id::text IS NULL OR confirmations.event_id = :event_id)
    ORDER BY decided_at, confirmations.namespace, confirmations.event_id
    LIMIT :limit
    FOR UPDATE OF confirmations
)
UPDATE confirmations
SET state = 'due', recorded_at = now(), next_at = now(), claimed_by = NULL, tries = 0, first_answer_at = NULL,
    reason = '', reported = NULL, answered = NULL, fetched = NULL, fetched_type = NULL, fetched_at = NULL,
    decided_at = NULL
FROM chosen
WHERE confirmations.namespace = chosen.namespace AND confirmations.event_id = chosen.event_id
RETURNING confirmations.namespace, confirmations.event_id;

-- name: read_confirmations :many
-- Returns what the API said about events, for `why`.
SELECT
    namespace, event_id, source, state, recorded_at, next_at, tries, first_answer_at, reason, reported, answered,
    fetched_at, decided_at
FROM confirmations
JOIN unnest(:namespace::text[], :event_id::text[]) AS batch (namespace, event_id) USING (namespace, event_id);

-- name: find_refused :many
-- Returns those of these events that the API does not know as they were reported: nobody releases them.
SELECT namespace, event_id, state
FROM confirmations
JOIN unnest(:namespace::text[], :event_id::text[]) AS batch (namespace, event_id) USING (namespace, event_id)
WHERE state IN ('disagrees', 'not_found')
ORDER BY namespace, event_id;

-- name: release :exec
-- Records that a person believed these events, so that nobody asks for them any more.
UPDATE confirmations
SET state = 'released', decided_at = now(), claimed_by = NULL
FROM unnest(:namespace::text[], :event_id::text[]) AS batch (namespace, event_id)
WHERE confirmations.namespace = batch.namespace AND confirmations.event_id = batch.event_id
  AND state IN ('due', 'failed');

-- name: erase_fetched :one
-- Removes what the API said about these events as it was fetched, and returns how many there were.
WITH erased AS (
    UPDATE confirmations
    SET fetched = NULL
    WHERE namespace = :namespace AND event_id = ANY (:event_ids::text[]) AND fetched IS NOT NULL
    RETURNING 1
)
SELECT count(*) AS erased FROM erased;

-- name: remove_old_fetched :one
-- Removes up to `rows_max` of them that are older than payloads are kept, and returns how many.
WITH old AS (
    SELECT namespace, event_id
    FROM confirmations
    WHERE fetched IS NOT NULL AND fetched_at < now() - make_interval(days => :kept_days)
    LIMIT :rows_max
),
removed AS (
    UPDATE confirmations
    SET fetched = NULL
    FROM old
    WHERE confirmations.namespace = old.namespace AND confirmations.event_id = old.event_id
    RETURNING 1
)
SELECT count(*) AS removed FROM removed;

-- name: give_back :exec
-- Gives the claims of a worker that leaves back: they are due at once.
UPDATE confirmations SET claimed_by = NULL, next_at = now() WHERE state = 'due' AND claimed_by = :claimer;
