-- What workers do once a day: who does it, when it was done, and what is removed.

-- name: find_due_steps :many
-- Returns those of these steps that are due and that nobody works on; none while somebody works on any step.
SELECT due.step
FROM unnest(:steps::text[]) WITH ORDINALITY AS due (step, position)
LEFT JOIN maintenance USING (step)
WHERE coalesce(maintenance.next_at <= now(), true)
  AND NOT EXISTS (SELECT FROM maintenance WHERE claimed_until > now())
ORDER BY due.position;

-- name: try_to_lock_claims :one
-- Excludes others from claiming until this transaction ends; false if another one claims right now.
SELECT pg_try_advisory_xact_lock(hashtextextended('payments:maintenance', 0)) AS is_locked;

-- name: claim_step :one
-- Claims a step if it is due, or `at_once`; no row if somebody else works on any step. To be executed while the claims
-- are locked.
INSERT INTO maintenance (step, claimed_by, claimed_until)
SELECT :step, :runner, now() + make_interval(secs => :claim_s)
WHERE NOT EXISTS (SELECT FROM maintenance WHERE claimed_until > now() AND claimed_by <> :runner)
ON CONFLICT (step) DO UPDATE
SET claimed_by = excluded.claimed_by, claimed_until = excluded.claimed_until
WHERE maintenance.next_at <= now() OR :at_once::boolean
RETURNING step;

-- name: find_runner :one
-- Returns who works on a step now.
SELECT claimed_by, step FROM maintenance WHERE claimed_until > now() ORDER BY claimed_until DESC LIMIT 1;

-- name: renew_claim :one
-- Renews the claim of a step; no row if it ran out and somebody else works now.
UPDATE maintenance
SET claimed_until = now() + make_interval(secs => :claim_s)
WHERE step = :step AND claimed_by = :runner
  AND NOT EXISTS (SELECT FROM maintenance WHERE claimed_until > now() AND claimed_by <> :runner)
RETURNING step;

-- name: finish_step :exec
-- Ends the claim of a step that was done, and says when it is due again.
UPDATE maintenance
SET claimed_by = NULL, claimed_until = NULL, succeeded_at = now(), outcome = :outcome, failed_at = NULL,
    failure = NULL, next_at = now() + make_interval(secs => :next_in_s)
WHERE step = :step AND claimed_by = :runner;

-- name: fail_step :exec
-- Ends the claim of a step that failed, with the reason, and says when it is tried again.
UPDATE maintenance
SET claimed_by = NULL, claimed_until = NULL, failed_at = now(), failure = :failure,
    next_at = now() + make_interval(secs => :next_in_s)
WHERE step = :step AND claimed_by = :runner;

-- name: read_maintenance :many
-- Returns when each of these steps was done last. One that was never done is as old as the last migration, which made
-- it.
SELECT due.step, coalesce(succeeded_at, (SELECT max(applied) FROM public._pogo_migration)) AS succeeded_at, failure
FROM unnest(:steps::text[]) AS due (step)
LEFT JOIN maintenance USING (step);

-- name: read_oldest_payload :one
-- Returns the beginning of the oldest month of which payloads are kept; null if no payload is kept.
SELECT oldest_payload() AS oldest_payload;

-- name: drop_payload_partition :one
-- Drops the oldest month whose payloads are all older than the days they are kept, and returns its name, its size, and
-- how many payloads in use were moved; no row without one.
SELECT dropped, bytes, moved FROM drop_payload_partition(:kept_days::integer);

-- name: delete_default_payloads :one
-- Deletes old payloads that no month was made for, up to a limit, and returns their number.
SELECT delete_default_payloads(:kept_days::integer, :rows_max::integer) AS deleted;

-- name: count_pages_of_duplicates :one
-- Returns the size of the table, which is read from its beginning to its end.
SELECT pg_relation_size('duplicates') / current_setting('block_size')::bigint AS pages;

-- name: remove_duplicates :one
-- Removes old duplicates in some pages, and returns their number. Only entries before one that the stream may still have.
SELECT remove_duplicates(:kept_days::integer, :before_entry::text, :first_page::bigint, :end_page::bigint) AS removed;

-- name: remove_dead_letters :one
-- Removes old closed dead letters, up to a limit, and returns their number.
SELECT remove_dead_letters(:kept_days::integer, :before_entry::text, :rows_max::integer) AS removed;
