-- Restores of Redis and Postgres that were noticed, and differences of the account that a person acknowledged
-- depends: 0005_workers_own_nothing

-- migrate: apply

-- The counterpart of a counter in Redis (`payments:{0}:account`, `beat`), which is never behind it: a Redis whose counter
-- is lower was restored from an older copy, or wiped.
CREATE TABLE redis_beats (
    key_prefix text        PRIMARY KEY,
    beat       bigint      NOT NULL,
    seen_at    timestamptz NOT NULL DEFAULT now()
);

-- A person's decision that the differences found so far are understood. The account of the stream is measured from the
-- last one of its epoch. `difference` is what was missing in all; `findings` keeps the names of what was lost.
CREATE TABLE acknowledgements (
    id              bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    acknowledged_at timestamptz NOT NULL DEFAULT now(),
    actor           text        NOT NULL CHECK (actor <> ''),
    reason          text        NOT NULL CHECK (reason <> ''),
    key_prefix      text        NOT NULL,
    epoch           text        NOT NULL,
    difference      bigint      NOT NULL,
    findings        jsonb       NOT NULL
);

-- A server that turned out to lack what it had confirmed. Open until a person acknowledges it. From a restore of
-- Postgres on, markers in Redis carry its number: older ones do not count.
CREATE TABLE restores (
    id              bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key_prefix      text        NOT NULL,
    server          text        NOT NULL CHECK (server IN ('redis', 'postgres')),
    noticed_at      timestamptz NOT NULL DEFAULT now(),
    noticed_by      text        NOT NULL,
    proof           text        NOT NULL,
    number          bigint      CHECK (number > 0),
    acknowledgement bigint      REFERENCES acknowledgements (id)
);

CREATE INDEX restores_open ON restores (key_prefix) WHERE acknowledgement IS NULL;

-- migrate: rollback

DROP TABLE restores, acknowledgements, redis_beats;
