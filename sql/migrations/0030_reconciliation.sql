-- What is compared with the providers' own lists, and what differs
-- depends: 0029_origin_of_events

-- migrate: apply

-- One row for each source that was ever compared. A program claims it until a time, and renews the claim while it
-- compares, so that one does it at a time, and another goes on when it dies.
CREATE TABLE reconciliations (
    source         text PRIMARY KEY,
    namespace      text NOT NULL,
    -- The time that was compared without a gap. What a provider does not list any more can make a gap that stays.
    compared_since timestamptz,
    compared_until timestamptz,
    -- Nothing that the provider lists from before this is missing: `compared_until`, or the oldest open missing one.
    complete_until timestamptz,
    next_at        timestamptz NOT NULL DEFAULT now(),
    claimed_by     text,
    claimed_until  timestamptz,
    succeeded_at   timestamptz,
    -- What the last run found, as a sentence; and its numbers.
    outcome        text NOT NULL DEFAULT '',
    listed         bigint NOT NULL DEFAULT 0,
    missing        bigint NOT NULL DEFAULT 0,
    repaired       bigint NOT NULL DEFAULT 0,
    waiting        bigint NOT NULL DEFAULT 0,
    dead           bigint NOT NULL DEFAULT 0,
    extra          bigint NOT NULL DEFAULT 0,
    different      bigint NOT NULL DEFAULT 0,
    -- Why the last run failed, and how many have failed since one succeeded. `refused`: the API does not accept the
    -- credentials, so that a person has to act.
    failed_at      timestamptz,
    failure        text,
    failures       integer NOT NULL DEFAULT 0,
    refused        boolean NOT NULL DEFAULT false,
    CHECK ((claimed_by IS NULL) = (claimed_until IS NULL)),
    CHECK ((failed_at IS NULL) = (failure IS NULL)),
    CHECK ((compared_since IS NULL) = (compared_until IS NULL))
);

-- One row for each event or payment that differs from what the provider lists. It stays once it is resolved: a later
-- run finds that it is applied. Nothing in it is a person's data.
CREATE TABLE reconcile_findings (
    source      text NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('missing', 'extra', 'different')),
    event_id    text NOT NULL,
    namespace   text NOT NULL,
    type        text NOT NULL,
    -- The payment that it is about.
    resource    text NOT NULL,
    occurred_at timestamptz,
    -- What differs, as a sentence, and what is recorded here and listed there.
    difference  text NOT NULL,
    recorded    text NOT NULL DEFAULT '',
    listed      text NOT NULL DEFAULT '',
    found_at    timestamptz NOT NULL DEFAULT now(),
    repaired_at timestamptz,
    entry_id    text CHECK (entry_id ~ '^[0-9]+-[0-9]+$'),
    resolved_at timestamptz,
    PRIMARY KEY (source, kind, event_id),
    CHECK (entry_id IS NULL OR repaired_at IS NOT NULL)
);

CREATE INDEX reconcile_findings_open ON reconcile_findings (source, kind, occurred_at) WHERE resolved_at IS NULL;
CREATE INDEX reconcile_findings_of_event ON reconcile_findings (namespace, event_id);
CREATE INDEX reconcile_findings_of_payment ON reconcile_findings (namespace, resource);

-- migrate: rollback

DROP TABLE reconcile_findings;
DROP TABLE reconciliations;
