-- What happened: one row per event, per duplicate entry, per payload, per payment, per dead letter
-- depends:

-- migrate: apply

-- An event is applied once: by the transaction that inserts its row, which also contains the effects.
CREATE TABLE events (
    namespace    text        NOT NULL,
    event_id     text        NOT NULL,
    source       text        NOT NULL,
    provider     text        NOT NULL,
    entry_id     text        NOT NULL CHECK (entry_id ~ '^[0-9]+-[0-9]+$'),
    type         text        NOT NULL,
    resource     text        NOT NULL,
    signed       text        NOT NULL CHECK (signed IN ('body', 'fields', 'weak', 'reference')),
    occurred_at  timestamptz,
    received_at  timestamptz NOT NULL,
    committed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (namespace, event_id)
);

-- One row per entry that turned out to be applied already, so that every entry of the stream is accounted for.
CREATE TABLE duplicates (
    entry_id    text        PRIMARY KEY CHECK (entry_id ~ '^[0-9]+-[0-9]+$'),
    namespace   text        NOT NULL,
    event_id    text        NOT NULL,
    source      text        NOT NULL,
    received_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (namespace, event_id) REFERENCES events (namespace, event_id)
);

-- The exact bytes that were signed. By month, so that old personal data is dropped by partition. No foreign key:
-- its check would cost more than the insert; the invariants ask instead.
CREATE TABLE payloads (
    namespace   text        NOT NULL,
    event_id    text        NOT NULL,
    received_at timestamptz NOT NULL,
    headers     jsonb       NOT NULL,
    body        bytea       NOT NULL,
    PRIMARY KEY (namespace, event_id, received_at)
) PARTITION BY RANGE (received_at);

-- A payload whose month has no partition, because a clock was far off, is kept here and not refused.
CREATE TABLE payloads_default PARTITION OF payloads DEFAULT;

-- Makes the partitions of this month and the next ones. One at a time, and only where something is missing, so that
-- every worker may call it whenever it likes. What waited in the default partition moves into the new one.
CREATE FUNCTION ensure_payload_partitions(months_ahead integer) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    month  timestamp;
    name   text;
    starts timestamptz;
    ends   timestamptz;
BEGIN
    FOR month IN
        SELECT generate_series(
            date_trunc('month', now() AT TIME ZONE 'UTC'),
            date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => months_ahead),
            interval '1 month')
    LOOP
        name := 'payloads_' || to_char(month, 'YYYY_MM');
        CONTINUE WHEN to_regclass(quote_ident(name)) IS NOT NULL;
        LOCK TABLE payloads_default IN ACCESS EXCLUSIVE MODE;
        CONTINUE WHEN to_regclass(quote_ident(name)) IS NOT NULL;
        starts := month AT TIME ZONE 'UTC';
        ends := (month + interval '1 month') AT TIME ZONE 'UTC';
        EXECUTE format('CREATE TABLE %I (LIKE payloads)', name);
        EXECUTE format(
            'WITH waiting AS (DELETE FROM payloads_default WHERE received_at >= %L AND received_at < %L RETURNING *) '
            'INSERT INTO %I SELECT * FROM waiting', starts, ends, name);
        EXECUTE format('ALTER TABLE payloads ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', name, starts, ends);
    END LOOP;
END
$$;

SELECT ensure_payload_partitions(2);

-- A payment merges the facts reported about it: amounts only grow, booleans are only set, so that the row is a
-- function of the set of events and not of their order. Money is in minor units of the currency.
CREATE TABLE payments (
    namespace         text    NOT NULL,
    payment_id        text    NOT NULL,
    provider          text    NOT NULL,
    currency          text    CHECK (currency ~ '^[A-Z]{3}$'),
    amount            bigint  NOT NULL DEFAULT 0 CHECK (amount >= 0),
    captured          bigint  NOT NULL DEFAULT 0 CHECK (captured >= 0),
    refunded          bigint  NOT NULL DEFAULT 0 CHECK (refunded >= 0),
    disputed          bigint  NOT NULL DEFAULT 0 CHECK (disputed >= 0),
    -- What the one event that completes a payment says was paid in all; there can be only one truth about it.
    final_amount      bigint  CHECK (final_amount >= 0),
    authorized        boolean NOT NULL DEFAULT false,
    succeeded         boolean NOT NULL DEFAULT false,
    failed            boolean NOT NULL DEFAULT false,
    canceled          boolean NOT NULL DEFAULT false,
    -- Two events reported different currencies, or different final amounts, for this one payment.
    contradicted      boolean NOT NULL DEFAULT false,
    first_occurred_at timestamptz,
    last_occurred_at  timestamptz,
    status            text    NOT NULL GENERATED ALWAYS AS (
        CASE
            WHEN disputed > 0 THEN 'disputed'
            WHEN refunded > 0 AND refunded >= captured THEN 'refunded'
            WHEN refunded > 0 THEN 'partially_refunded'
            WHEN succeeded THEN 'succeeded'
            WHEN canceled THEN 'canceled'
            WHEN authorized THEN 'authorized'
            WHEN failed THEN 'failed'
            ELSE 'pending'
        END) STORED,
    PRIMARY KEY (namespace, payment_id),
    CHECK (currency IS NOT NULL OR (amount = 0 AND captured = 0 AND refunded = 0 AND disputed = 0))
);

-- What could not be applied, with its whole entry, so that it can be replayed byte for byte.
CREATE TABLE dead_letters (
    id               bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    entry_id         text        NOT NULL UNIQUE CHECK (entry_id ~ '^[0-9]+-[0-9]+$'),
    state            text        NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'replayed', 'discarded')),
    namespace        text,
    event_id         text,
    source           text,
    type             text,
    resource         text,
    reason           text        NOT NULL,
    traceback        text        NOT NULL,
    attempts         integer     NOT NULL CHECK (attempts >= 0),
    died_at          timestamptz NOT NULL DEFAULT now(),
    state_changed_at timestamptz,
    field_names      bytea[]     NOT NULL,
    field_values     bytea[]     NOT NULL,
    CHECK (cardinality(field_names) = cardinality(field_values))
);

CREATE INDEX dead_letters_open ON dead_letters (namespace, event_id) WHERE state = 'open';

-- migrate: rollback

DROP TABLE dead_letters, payments, payloads, duplicates, events;
DROP FUNCTION ensure_payload_partitions;
