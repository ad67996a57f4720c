-- Money booked once: transfers, disputes, what contradicts, what is held back
-- depends: 0001_events

-- migrate: apply

-- Append-only double entry: one row per real-world transfer of money, whichever and however many events report it. It
-- balances by construction: what is debited to one account is credited to another. No foreign key to events, as its
-- check would cost more than the insert; the invariants ask instead.
CREATE TABLE transfers (
    namespace      text        NOT NULL,
    movement       text        NOT NULL,
    payment_id     text        NOT NULL,
    debit_account  text        NOT NULL,
    credit_account text        NOT NULL,
    amount         bigint      NOT NULL CHECK (amount > 0),
    currency       text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    event_id       text        NOT NULL,
    booked_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (namespace, movement),
    CHECK (debit_account <> credit_account)
);

CREATE INDEX transfers_of_payment ON transfers (namespace, payment_id);

CREATE FUNCTION refuse_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'transfers are append-only: book a correction (make resolve) instead';
END
$$;

CREATE TRIGGER transfers_are_append_only BEFORE UPDATE OR DELETE ON transfers
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What each account has in the end. What was credited less what was debited: money that came in from a provider is a
-- positive balance of the merchant's, and a negative one of the provider's; all balances of a currency add up to 0.
CREATE VIEW balances AS
SELECT
    namespace, account, currency, sum(debit)::bigint AS debits, sum(credit)::bigint AS credits,
    (sum(credit) - sum(debit))::bigint AS balance
FROM (
    SELECT namespace, debit_account AS account, currency, amount AS debit, 0 AS credit FROM transfers
    UNION ALL
    SELECT namespace, credit_account, currency, 0, amount FROM transfers
) AS sides
GROUP BY namespace, account, currency;

-- A dispute merges the facts reported about it, like a payment.
CREATE TABLE disputes (
    namespace  text    NOT NULL,
    dispute_id text    NOT NULL,
    payment_id text    NOT NULL,
    currency   text    NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    amount     bigint  NOT NULL CHECK (amount >= 0),
    opened     boolean NOT NULL,
    won        boolean NOT NULL,
    lost       boolean NOT NULL,
    withdrawn  boolean NOT NULL,
    reinstated boolean NOT NULL,
    PRIMARY KEY (namespace, dispute_id)
);

CREATE INDEX disputes_of_payment ON disputes (namespace, payment_id);

-- An event reported another amount, currency or payment for a transfer than was booked, or a transfer in another
-- currency than its payment's. Nothing is overwritten: the payment's money stops until a person decides. If nothing was
-- booked, booked_amount is null.
CREATE TABLE conflicts (
    id              bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    namespace       text        NOT NULL,
    payment_id      text        NOT NULL,
    movement        text        NOT NULL,
    booked_amount   bigint,
    booked_currency text,
    told_amount     bigint      NOT NULL,
    told_currency   text        NOT NULL,
    debit_account   text,
    credit_account  text,
    event_id        text        NOT NULL,
    found_at        timestamptz NOT NULL DEFAULT now(),
    decision        text        CHECK (decision IN ('booked', 'told')),
    decided_at      timestamptz,
    UNIQUE (namespace, movement, payment_id, told_amount, told_currency),
    CHECK ((decision IS NULL) = (decided_at IS NULL))
);

CREATE INDEX conflicts_open ON conflicts (namespace, payment_id) WHERE decision IS NULL;
CREATE INDEX conflicts_of_payment ON conflicts (namespace, payment_id);

-- Facts on hold, which may not move money: `unsigned`, the signature does not cover what they were read from, and
-- the source trusts only what is signed; `conflict`, their payment's money is stopped.
CREATE TABLE held_back (
    namespace      text        NOT NULL,
    event_id       text        NOT NULL,
    payment_id     text        NOT NULL,
    source         text        NOT NULL,
    reason         text        NOT NULL CHECK (reason IN ('unsigned', 'conflict')),
    kind           text        NOT NULL,
    object         text        NOT NULL,
    amount         bigint      NOT NULL,
    currency       text        NOT NULL,
    movement       text        CHECK ((movement IS NOT NULL) = (reason = 'conflict')),
    debit_account  text,
    credit_account text,
    held_at        timestamptz NOT NULL DEFAULT now(),
    released_at    timestamptz,
    PRIMARY KEY (namespace, event_id, kind, object)
);

CREATE INDEX held_back_of_payment ON held_back (namespace, payment_id);
CREATE INDEX held_back_now ON held_back (source, reason, held_at, namespace, event_id) WHERE released_at IS NULL;

-- captured, refunds_made and refunds_failed are sums over transfers, each counted once. A provider's own total of all
-- refunds and the refunds it reports one by one are the same money: the larger counts, never both.
ALTER TABLE payments
    ALTER COLUMN currency SET NOT NULL,
    DROP COLUMN status,
    DROP COLUMN final_amount,
    DROP CONSTRAINT payments_check,
    DROP CONSTRAINT payments_captured_check,
    DROP CONSTRAINT payments_disputed_check,
    ADD COLUMN refunds_total  bigint  NOT NULL DEFAULT 0,
    ADD COLUMN refunds_made   bigint  NOT NULL DEFAULT 0,
    ADD COLUMN refunds_failed bigint  NOT NULL DEFAULT 0,
    ADD COLUMN capture_failed boolean NOT NULL DEFAULT false,
    ADD COLUMN charged_back   boolean NOT NULL DEFAULT false;

UPDATE payments SET refunds_total = refunded;

ALTER TABLE payments DROP COLUMN refunded;
ALTER TABLE payments ADD COLUMN refunded bigint NOT NULL GENERATED ALWAYS AS (
    greatest(greatest(refunds_total, refunds_made) - refunds_failed, 0)) STORED;

-- The status, derived from the facts in this one place; docs/payments.md draws it.
ALTER TABLE payments ADD COLUMN status text NOT NULL GENERATED ALWAYS AS (
    CASE
        WHEN disputed > 0 AND charged_back THEN 'charged_back'
        WHEN disputed > 0 THEN 'disputed'
        WHEN greatest(refunds_total, refunds_made) > refunds_failed
             AND greatest(refunds_total, refunds_made) - refunds_failed >= captured THEN 'refunded'
        WHEN greatest(refunds_total, refunds_made) > refunds_failed THEN 'partially_refunded'
        WHEN succeeded AND (captured > 0 OR NOT capture_failed) THEN 'succeeded'
        WHEN canceled THEN 'canceled'
        WHEN capture_failed THEN 'failed'
        WHEN authorized THEN 'authorized'
        WHEN failed THEN 'failed'
        ELSE 'pending'
    END) STORED;

-- What was captured before there were transfers is booked under the names it has since, so that a late event about it
-- books nothing again.
INSERT INTO transfers (namespace, movement, payment_id, debit_account, credit_account, amount, currency, event_id)
SELECT namespace, 'capture:' || payment_id, payment_id, 'provider:' || reported.source, 'merchant', captured, currency,
       reported.event_id
FROM payments
CROSS JOIN LATERAL (
    SELECT source, event_id FROM events
    WHERE events.namespace = payments.namespace AND events.resource = payments.payment_id
      AND (type IN ('payment_intent.succeeded', 'charge.succeeded', 'charge.captured', 'charge.refunded')
           OR events.provider = 'hmac')
    ORDER BY occurred_at, event_id LIMIT 1
) AS reported
WHERE captured > 0;

INSERT INTO disputes (
    namespace, dispute_id, payment_id, currency, amount, opened, won, lost, withdrawn, reinstated
)
SELECT DISTINCT ON (events.namespace, dispute ->> 'id')
    events.namespace, dispute ->> 'id', resource, upper(dispute ->> 'currency'), (dispute ->> 'amount')::bigint,
    true, false, false, false, false
FROM events
JOIN payloads USING (namespace, event_id)
CROSS JOIN LATERAL (SELECT convert_from(body, 'UTF8')::jsonb #> '{data,object}' AS dispute) AS reported
WHERE provider = 'stripe' AND type = 'charge.dispute.created';

-- migrate: rollback

ALTER TABLE payments DROP COLUMN status, DROP COLUMN refunded;
ALTER TABLE payments
    ADD COLUMN refunded bigint NOT NULL DEFAULT 0 CHECK (refunded >= 0),
    ADD COLUMN final_amount bigint CHECK (final_amount >= 0);
UPDATE payments SET refunded = greatest(greatest(refunds_total, refunds_made) - refunds_failed, 0);
ALTER TABLE payments
    ALTER COLUMN currency DROP NOT NULL,
    DROP COLUMN refunds_total, DROP COLUMN refunds_made, DROP COLUMN refunds_failed, DROP COLUMN capture_failed,
    DROP COLUMN charged_back,
    ADD CONSTRAINT payments_captured_check CHECK (captured >= 0),
    ADD CONSTRAINT payments_disputed_check CHECK (disputed >= 0),
    ADD CONSTRAINT payments_check
        CHECK (currency IS NOT NULL OR (amount = 0 AND captured = 0 AND refunded = 0 AND disputed = 0)),
    ADD COLUMN status text NOT NULL GENERATED ALWAYS AS (
        CASE
            WHEN disputed > 0 THEN 'disputed'
            WHEN refunded > 0 AND refunded >= captured THEN 'refunded'
            WHEN refunded > 0 THEN 'partially_refunded'
            WHEN succeeded THEN 'succeeded'
            WHEN canceled THEN 'canceled'
            WHEN authorized THEN 'authorized'
            WHEN failed THEN 'failed'
            ELSE 'pending'
        END) STORED;
DROP TABLE held_back, conflicts, disputes;
DROP VIEW balances;
DROP TABLE transfers;
DROP FUNCTION refuse_change;
