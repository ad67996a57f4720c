-- Comparing with the providers' own lists: who does it, how far it came, what differs.

-- name: ensure_source :exec
-- Makes the row of a source that was never compared.
INSERT INTO reconciliations (source, namespace)
VALUES (:source, :namespace)
ON CONFLICT (source) DO UPDATE SET namespace = excluded.namespace
WHERE reconciliations.namespace <> excluded.namespace;

-- name: claim_source :one
-- Claims a source if it is due, or `at_once`, and returns how far it was compared; no row if somebody else compares it.
UPDATE reconciliations
SET claimed_by = :runner, claimed_until = now() + make_interval(secs => :claim_s)
WHERE source = :source
  AND (claimed_until IS NULL OR claimed_until < now() OR claimed_by = :runner)
  AND (next_at <= now() OR :at_once::boolean)
RETURNING compared_since, compared_until;

-- name: renew_reconciliation :one
-- Renews a claim; no row if it ran out and somebody else has taken it.
UPDATE reconciliations
SET claimed_until = now() + make_interval(secs => :claim_s)
WHERE source = :source AND claimed_by = :runner
RETURNING source;

-- name: find_claim :one
-- Returns who compares a source now.
SELECT claimed_by, claimed_until FROM reconciliations WHERE source = :source AND claimed_until > now();

-- name: finish_run :one
-- Ends the claim after a run that compared all it was to compare; no row if somebody else has taken it. A command leaves
-- the next scheduled run as it is.
UPDATE reconciliations
SET claimed_by = NULL, claimed_until = NULL, succeeded_at = now(), outcome = :outcome,
    listed = :listed, missing = :missing, repaired = :repaired, waiting = :waiting, dead = :dead, extra = :extra,
    different = :different, failed_at = NULL, failure = NULL, failures = 0, refused = false,
    compared_since = :compared_since, compared_until = :compared_until,
    next_at = coalesce(now() + make_interval(secs => :next_in_s), next_at)
WHERE source = :source AND claimed_by = :runner
RETURNING source;

-- name: move_complete_until :one
-- Moves the time until which a source is complete: what is missing and was not added to the stream limits it.
UPDATE reconciliations
SET complete_until = CASE WHEN compared_until IS NOT NULL THEN least(compared_until, (
    SELECT min(coalesce(occurred_at, found_at))
    FROM reconcile_findings
    WHERE reconcile_findings.source = :source AND kind = 'missing' AND resolved_at IS NULL AND repaired_at IS NULL
)) END
WHERE source = :source
RETURNING complete_until;

-- name: fail_run :exec
-- Ends the claim of a run that failed, with the reason. What it found until then stays.
UPDATE reconciliations
SET claimed_by = NULL, claimed_until = NULL, failed_at = now(), failure = :failure, failures = failures + 1,
    refused = :refused, compared_since = :compared_since, compared_until = :compared_until,
    next_at = coalesce(now() + make_interval(secs => :next_in_s), next_at)
WHERE source = :source AND claimed_by = :runner;

-- name: leave_run :exec
-- Gives a claim back without having come to an end: the next run begins again.
UPDATE reconciliations
SET claimed_by = NULL, claimed_until = NULL
WHERE source = :source AND claimed_by = :runner;

-- name: count_failures :one
-- Returns how many runs of a source have failed since one succeeded.
SELECT failures FROM reconciliations WHERE source = :source;

-- name: read_reconciliations :many
-- Returns how far each source was compared, what the last run found, and what is open, for status, metrics and console.
SELECT
    source, namespace, compared_since, compared_until, complete_until, next_at, claimed_by, claimed_until,
    succeeded_at, outcome, listed, missing, repaired, waiting, dead, extra, different, failed_at, failure, failures,
    refused, coalesce(open_missing, 0) AS open_missing, coalesce(open_extra, 0) AS open_extra,
    coalesce(open_different, 0) AS open_different
FROM reconciliations
LEFT JOIN (
    SELECT
        source,
        count(*) FILTER (WHERE kind = 'missing' AND repaired_at IS NULL) AS open_missing,
        count(*) FILTER (WHERE kind = 'extra') AS open_extra,
        count(*) FILTER (WHERE kind = 'different') AS open_different
    FROM reconcile_findings
    WHERE resolved_at IS NULL
    GROUP BY source
) AS findings USING (source)
ORDER BY source;

-- name: list_findings :many
-- Returns what differs, the newest first: of one source and kind, or all if null; open ones only, or all.
SELECT
    source, kind, event_id, namespace, type, resource, occurred_at, difference, recorded, listed, found_at, repaired_at,
    entry_id, resolved_at
FROM reconcile_findings
WHERE (:source::text IS NULL OR source = :source) AND (:kind::text IS NULL OR kind = :kind)
  AND (resolved_at IS NULL OR NOT :only_open::boolean)
ORDER BY coalesce(occurred_at, found_at) DESC, source, kind, event_id
LIMIT :limit;

-- name: find_findings :many
-- Returns what was found about these events, for `why`.
SELECT
    source, kind, event_id, namespace, type, resource, occurred_at, difference, recorded, listed, found_at, repaired_at,
    entry_id, resolved_at
FROM unnest(:namespace::text[], :event_id::text[]) AS wanted (namespace, event_id)
JOIN reconcile_findings USING (namespace, event_id)
ORDER BY found_at, source, kind;

-- name: find_findings_of_payments :many
-- Returns what was found about events of these payments, for `why`.
SELECT
    source, kind, event_id, namespace, type, resource, occurred_at, difference, recorded, listed, found_at, repaired_at,
    entry_id, resolved_at
FROM unnest(:namespace::text[], :resource::text[]) AS wanted (namespace, resource)
JOIN reconcile_findings USING (namespace, resource)
ORDER BY found_at, source, kind, event_id;

-- name: record_findings :exec
-- Records what differs. One that is known stays as it is, unless it was resolved or repaired, or says something else.
-- What a person has accepted is found again only if it says something else.
INSERT INTO reconcile_findings AS known (
    source, kind, event_id, namespace, type, resource, occurred_at, difference, recorded, listed
)
SELECT :source, kind, event_id, :namespace, type, resource, occurred_at, difference, recorded, listed
FROM unnest(
    :kind::text[], :event_id::text[], :type::text[], :resource::text[], :occurred_at::timestamptz[],
    :difference::text[], :recorded::text[], :listed::text[]
) AS found (kind, event_id, type, resource, occurred_at, difference, recorded, listed)
ON CONFLICT (source, kind, event_id) DO UPDATE
SET difference = excluded.difference, recorded = excluded.recorded, listed = excluded.listed,
    found_at = CASE WHEN known.resolved_at IS NULL THEN known.found_at ELSE now() END,
    repaired_at = NULL, entry_id = NULL, resolved_at = NULL, accepted_at = NULL
WHERE (known.accepted_at IS NULL AND (known.resolved_at IS NOT NULL OR known.repaired_at IS NOT NULL))
   OR (known.difference, known.recorded, known.listed) <> (excluded.difference, excluded.recorded, excluded.listed);

-- name: record_repairs :exec
-- Notes that missing events were added to the stream, as which entries.
UPDATE reconcile_findings
SET repaired_at = now(), entry_id = repaired.entry_id
FROM unnest(:event_id::text[], :entry_id::text[]) AS repaired (event_id, entry_id)
WHERE reconcile_findings.source = :source AND kind = 'missing' AND reconcile_findings.event_id = repaired.event_id;

-- name: resolve_findings :exec
-- Closes findings of one kind about events that do not differ any more.
UPDATE reconcile_findings
SET resolved_at = now()
WHERE source = :source AND kind = :kind AND event_id = ANY (:event_ids::text[]) AND resolved_at IS NULL;

-- name: resolve_applied :exec
-- Closes the findings about missing events that are applied by now, whatever window is compared. An entry that was added
-- by a run which died before it could note so is noted now.
UPDATE reconcile_findings
SET resolved_at = now(),
    repaired_at = CASE WHEN applied.origin = 'reconcile' THEN coalesce(repaired_at, applied.committed_at)
                       ELSE repaired_at END,
    entry_id = CASE WHEN applied.origin = 'reconcile' THEN coalesce(reconcile_findings.entry_id, applied.entry_id)
                    ELSE reconcile_findings.entry_id END
FROM events AS applied
WHERE reconcile_findings.source = :source AND kind = 'missing' AND resolved_at IS NULL
  AND applied.namespace = reconcile_findings.namespace AND applied.event_id = reconcile_findings.event_id;

-- name: accept_findings :many
-- Closes the open findings about these events, or all of a source if null, because a person has decided that they stay.
UPDATE reconcile_findings
SET resolved_at = now(), accepted_at = now()
WHERE source = :source AND resolved_at IS NULL AND (:event_ids::text[] IS NULL OR event_id = ANY (:event_ids))
RETURNING kind, namespace, event_id;

-- name: remove_old_findings :exec
-- Removes findings that were closed long ago, so that the table has an end. What was accepted stays: it would be found,
-- and added, again.
DELETE FROM reconcile_findings
WHERE source = :source AND accepted_at IS NULL AND resolved_at < now() - make_interval(days => :kept_days::integer);

-- name: find_applied :many
-- Returns those of these events that are applied, with the bytes that were signed where they are wanted and kept.
SELECT
    events.event_id, source, provider, type, resource, occurred_at, events.received_at, signed, mode, account, origin,
    payloads.body, payloads.headers
FROM unnest(:event_ids::text[]) AS listed (event_id)
JOIN events ON events.namespace = :namespace AND events.event_id = listed.event_id
LEFT JOIN payloads
    ON :with_bodies::boolean AND payloads.namespace = events.namespace AND payloads.event_id = events.event_id
    AND payloads.received_at = events.received_at;

-- name: find_applied_by_content :many
-- Returns applied events by what they say, for a provider whose deliveries have other ids than its list.
SELECT
    listed.place, events.event_id, source, provider, events.type, events.resource, events.occurred_at,
    events.received_at, signed, mode, account, origin, NULL::bytea AS body, NULL::text AS headers
FROM unnest(:place::integer[], :type::text[], :resource::text[], :occurred_at::timestamptz[])
    AS listed (place, type, resource, occurred_at)
JOIN events
    ON events.namespace = :namespace AND events.resource = listed.resource AND events.type = listed.type
    AND events.occurred_at = listed.occurred_at
WHERE events.resource = ANY (:resource);

-- name: find_dead :many
-- Returns those of these events that were dead-lettered, and not replayed since; and those of which a person has
-- accepted that they are missing.
SELECT event_id, false AS is_accepted
FROM (
    SELECT DISTINCT ON (event_id) event_id, state
    FROM dead_letters
    WHERE event_id = ANY (:event_ids::text[]) AND namespace = :namespace
    ORDER BY event_id, id DESC
) AS last_letters
WHERE state <> 'replayed'
UNION
SELECT event_id, true AS is_accepted
FROM reconcile_findings
WHERE event_id = ANY (:event_ids) AND namespace = :namespace AND kind = 'missing' AND accepted_at IS NOT NULL;

-- name: list_last_delivered :many
-- Returns the last events that were delivered to a source: a list of its account has them.
SELECT event_id, type, resource, occurred_at
FROM events
WHERE source = :source AND origin = 'delivery' AND occurred_at IS NOT NULL AND (mode IS NULL OR mode = :mode)
  AND committed_at > now() - :within::interval
ORDER BY committed_at DESC
LIMIT :limit;

-- name: list_last_payments :many
-- Returns the last payments of a provider: its API knows them, unless it is asked for another account.
SELECT payment_id
FROM ONLY payments
WHERE namespace = :namespace AND provider = :provider
ORDER BY first_occurred_at DESC NULLS LAST
LIMIT :limit;

-- name: list_last_delivered_payments :many
-- Returns the payments of the last events that were delivered to a source, as far as the books have them: its API knows
-- them, unless it is asked for another account.
SELECT payments.payment_id
FROM (
    SELECT DISTINCT ON (resource) namespace, resource, committed_at
    FROM (
        SELECT namespace, resource, committed_at
        FROM events
        WHERE source = :source AND origin = 'delivery' AND (mode IS NULL OR mode = :mode)
          AND committed_at > now() - :within::interval
        ORDER BY committed_at DESC
        LIMIT :read
    ) AS delivered
    ORDER BY resource, committed_at DESC
) AS latest
JOIN ONLY payments ON payments.namespace = latest.namespace AND payments.payment_id = latest.resource
ORDER BY committed_at DESC
LIMIT :limit;

-- name: list_delivered :many
-- Returns events that were delivered to a source and happened in a window: what a list of it must have. The time of
-- commit, by which they are found, is after that; those that came much later are left out.
SELECT event_id, type, resource, occurred_at
FROM events
WHERE source = :source AND origin = 'delivery'
  AND committed_at >= :since::timestamptz - interval '1 hour'
  AND committed_at < :until::timestamptz + make_interval(secs => :late_s)
  AND occurred_at >= :since AND occurred_at < :until
LIMIT :limit;

-- name: find_transfers :many
-- Returns those of these movements that are booked, wherever they are.
SELECT booked.movement, payment_id, amount, currency
FROM unnest(:movement::text[]) AS listed (movement)
JOIN transfers AS booked ON booked.namespace = :namespace AND booked.movement = listed.movement;

-- name: find_payments :many
-- Returns what is known of these payments, wherever they are.
SELECT
    payments.payment_id, currency, authorized, succeeded, failed, canceled, capture_failed, captured, refunds_total,
    refunds_made, refunds_failed
FROM unnest(:payment_id::text[]) AS listed (payment_id)
JOIN payments ON payments.namespace = :namespace AND payments.payment_id = listed.payment_id;

-- name: list_unfinished :many
-- Returns payments that may still change, and that a list by the time of making does not show again, the newest first.
SELECT payment_id
FROM ONLY payments
WHERE namespace = :namespace AND provider = :provider AND status IN ('pending', 'authorized', 'disputed')
  AND first_occurred_at >= :since AND first_occurred_at < :before
ORDER BY first_occurred_at DESC
LIMIT :limit;

-- name: find_disputes :many
-- Returns what is known of these disputes.
SELECT disputes.dispute_id, opened, won, lost
FROM unnest(:dispute_id::text[]) AS listed (dispute_id)
JOIN disputes ON disputes.namespace = :namespace AND disputes.dispute_id = listed.dispute_id;
