-- Events whose signature does not prove them, and what their provider's API says about them
-- depends: 0030_reconciliation

-- migrate: apply

-- One row for each event that a source with confirm = "api" recorded and did not believe, written with the event.
-- `payment_id` is the event's resource. `state`: due, it is asked or to be asked; confirmed, booked as the API says;
-- disagrees, the API says something else; not_found, it knows no such object; failed, it cannot be booked; released, a
-- person believed the event instead. `tries` counts the answers that decided nothing; an API that does not answer
-- counts none. `reported` is what the delivered body says, `answered` what the API says: facts, as an array of objects.
CREATE TABLE confirmations (
    namespace       text NOT NULL,
    event_id        text NOT NULL,
    source          text NOT NULL,
    payment_id      text NOT NULL,
    state           text NOT NULL DEFAULT 'due',
    recorded_at     timestamptz NOT NULL DEFAULT now(),
    -- When it is asked next; while a worker asks, when another one may.
    next_at         timestamptz NOT NULL DEFAULT now(),
    claimed_by      text,
    tries           integer NOT NULL DEFAULT 0,
    first_answer_at timestamptz,
    reason          text NOT NULL DEFAULT '',
    reported        jsonb,
    answered        jsonb,
    -- The object as the API has it: personal data, erased and removed with the payload.
    fetched         bytea,
    fetched_type    text,
    fetched_at      timestamptz,
    decided_at      timestamptz,
    PRIMARY KEY (namespace, event_id),
    CONSTRAINT confirmations_state_check CHECK (
        state IN ('due', 'confirmed', 'disagrees', 'not_found', 'failed', 'released')
    ),
    CONSTRAINT confirmations_decided_check CHECK ((state = 'due') = (decided_at IS NULL))
);

CREATE INDEX confirmations_due ON confirmations (source, next_at) WHERE state = 'due';
CREATE INDEX confirmations_of_payment ON confirmations (namespace, payment_id);
CREATE INDEX confirmations_undecided_for_good ON confirmations (source, state, decided_at)
    WHERE state IN ('disagrees', 'not_found', 'failed');
CREATE INDEX confirmations_fetched ON confirmations (fetched_at) WHERE fetched IS NOT NULL;

CREATE TRIGGER confirmations_are_kept BEFORE TRUNCATE ON confirmations
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();

-- As before, and of events that are to be confirmed; but of none that the API disagrees with: no decision reads it.
CREATE OR REPLACE FUNCTION payloads_in_use() RETURNS TABLE (namespace text, event_id text, received_at timestamptz)
    LANGUAGE sql STABLE ROWS 100
    SET search_path = public, pg_temp
    AS $$
    SELECT events.namespace, events.event_id, events.received_at
    FROM (
        SELECT held_back.namespace, held_back.event_id
        FROM held_back
        WHERE held_back.released_at IS NULL AND NOT EXISTS (
            SELECT FROM confirmations
            WHERE confirmations.namespace = held_back.namespace AND confirmations.event_id = held_back.event_id
              AND confirmations.state IN ('disagrees', 'not_found')
        )
        UNION
        SELECT conflicts.namespace, conflicts.event_id FROM conflicts WHERE conflicts.kept IS NULL
        UNION
        SELECT confirmations.namespace, confirmations.event_id FROM confirmations WHERE confirmations.state = 'due'
    ) AS open
    JOIN events USING (namespace, event_id)
$$;

-- migrate: rollback

CREATE OR REPLACE FUNCTION payloads_in_use() RETURNS TABLE (namespace text, event_id text, received_at timestamptz)
    LANGUAGE sql STABLE ROWS 100
    SET search_path = public, pg_temp
    AS $$
    SELECT events.namespace, events.event_id, events.received_at
    FROM (
        SELECT held_back.namespace, held_back.event_id FROM held_back WHERE held_back.released_at IS NULL
        UNION
        SELECT conflicts.namespace, conflicts.event_id FROM conflicts WHERE conflicts.kept IS NULL
    ) AS open
    JOIN events USING (namespace, event_id)
$$;

DROP TABLE confirmations;
