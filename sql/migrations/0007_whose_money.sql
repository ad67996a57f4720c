-- Test money and accounts; disputes by what was withdrawn and came back; sums without a limit; books that stay
-- depends: 0006_restores

-- migrate: apply

-- What an event says about itself. Null if its provider does not say, and in events of earlier releases.
ALTER TABLE events
    ADD COLUMN mode    text CHECK (mode IN ('live', 'test')),
    ADD COLUMN account text NOT NULL DEFAULT '';

-- Events of the other mode than their source's, such as test events at a live endpoint: they moved no money, and no
-- handler was called. A table of its own, so that other events pay nothing for an index.
CREATE TABLE events_of_other_mode (
    namespace   text        NOT NULL,
    event_id    text        NOT NULL,
    source      text        NOT NULL,
    mode        text        NOT NULL CHECK (mode IN ('live', 'test')),
    recorded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (namespace, event_id)
);

CREATE INDEX events_of_other_mode_by_source ON events_of_other_mode (source, mode);

-- account: the provider's account whose money it is. captured_outside: the part of `captured` that the provider never
-- held, such as cash, for which there is no transfer. disputed_currency: the currency of `disputed`, which need not be
-- the payment's. currency_assumed: only disputes have named a currency so far, so that another one is no contradiction.
ALTER TABLE payments
    ADD COLUMN account           text    NOT NULL DEFAULT '',
    ADD COLUMN captured_outside  bigint  NOT NULL DEFAULT 0 CHECK (captured_outside >= 0),
    ADD COLUMN disputed_currency text,
    ADD COLUMN currency_assumed  boolean NOT NULL DEFAULT false;

-- The dispute for which money moved. Null where the transfer is named by its dispute, as in earlier releases.
ALTER TABLE transfers ADD COLUMN dispute_id text;
ALTER TABLE conflicts ADD COLUMN dispute_id text;
ALTER TABLE held_back ADD COLUMN dispute_id text;

-- withdrawn_amount and reinstated_amount: sums of the dispute's transfers, in money_currency. won_at and lost_at: when
-- an event last said so. claimed: amount and currency are the customer's claim; if not, they are of transfers, because
-- no event has said what is claimed.
ALTER TABLE disputes
    ADD COLUMN withdrawn_amount  bigint  NOT NULL DEFAULT 0,
    ADD COLUMN reinstated_amount bigint  NOT NULL DEFAULT 0,
    ADD COLUMN money_currency    text,
    ADD COLUMN won_at            timestamptz,
    ADD COLUMN lost_at           timestamptz,
    ADD COLUMN claimed           boolean NOT NULL DEFAULT true;

UPDATE disputes
SET withdrawn_amount = withdrawal.amount, money_currency = withdrawal.currency,
    reinstated_amount = coalesce((
        SELECT amount FROM transfers
        WHERE transfers.namespace = disputes.namespace AND movement = 'dispute_reinstated:' || dispute_id
          AND transfers.currency = withdrawal.currency
    ), 0)
FROM transfers AS withdrawal
WHERE withdrawal.namespace = disputes.namespace AND withdrawal.movement = 'dispute:' || disputes.dispute_id;

-- What the customer or the bank has or may get of this dispute. What moved counts more than what was said: if money
-- came back, the rest is what is missing. Of two outcomes the later one counts.
ALTER TABLE disputes
    ADD COLUMN disputed bigint NOT NULL GENERATED ALWAYS AS (
        CASE
            WHEN reinstated_amount > 0 THEN greatest(withdrawn_amount - reinstated_amount, 0)
            WHEN won AND NOT (lost AND coalesce(lost_at >= won_at, true)) THEN 0
            WHEN withdrawn_amount > 0 THEN withdrawn_amount
            ELSE amount
        END) STORED,
    ADD COLUMN disputed_currency text NOT NULL GENERATED ALWAYS AS (
        CASE WHEN withdrawn_amount > 0 OR reinstated_amount > 0 THEN coalesce(money_currency, currency) ELSE currency END
    ) STORED,
    ADD COLUMN status text NOT NULL GENERATED ALWAYS AS (
        CASE
            WHEN reinstated_amount > 0 AND reinstated_amount >= withdrawn_amount THEN 'won'
            WHEN reinstated_amount > 0 AND money_currency = currency AND withdrawn_amount - reinstated_amount >= amount
                THEN CASE WHEN lost THEN 'lost' ELSE 'open' END
            WHEN reinstated_amount > 0 THEN CASE WHEN won OR lost THEN 'partly_lost' ELSE 'open' END
            WHEN won AND NOT (lost AND coalesce(lost_at >= won_at, true)) THEN 'won'
            WHEN lost THEN 'lost'
            ELSE 'open'
        END) STORED;

UPDATE payments
SET disputed_currency = disputes.disputed_currency
FROM disputes
WHERE disputes.namespace = payments.namespace AND disputes.payment_id = payments.payment_id;

-- The transfers of these payments as reported: those that are booked, with the amount that a person decided on; those
-- in open conflicts; and those on hold. A transfer may be in it several times, with different amounts.
CREATE FUNCTION reported_transfers(namespaces text[], payment_ids text[])
RETURNS TABLE (
    namespace text, payment_id text, movement text, dispute_id text, debit_account text, credit_account text,
    amount bigint, currency text, event_id text
)
LANGUAGE sql STABLE ROWS 100 AS $$
    WITH touched AS (
        SELECT DISTINCT batch.namespace, batch.payment_id
        FROM unnest(namespaces, payment_ids) AS batch (namespace, payment_id)
    )
    SELECT
        booked.namespace, booked.payment_id, booked.movement,
        coalesce(booked.dispute_id, substr(booked.movement, strpos(booked.movement, ':') + 1)),
        booked.debit_account, booked.credit_account, coalesce(decided.reported_amount, booked.amount),
        coalesce(decided.reported_currency, booked.currency), booked.event_id
    FROM touched
    JOIN transfers AS booked ON booked.namespace = touched.namespace AND booked.payment_id = touched.payment_id
    LEFT JOIN LATERAL (
        SELECT conflicts.reported_amount, conflicts.reported_currency
        FROM conflicts
        WHERE conflicts.kept = 'reported'
          AND conflicts.namespace = booked.namespace AND conflicts.movement = booked.movement
        ORDER BY conflicts.decided_at DESC, conflicts.id DESC
        LIMIT 1
    ) AS decided ON true
    UNION ALL
    SELECT
        conflicts.namespace, conflicts.payment_id, conflicts.movement,
        coalesce(conflicts.dispute_id, substr(conflicts.movement, strpos(conflicts.movement, ':') + 1)),
        conflicts.debit_account, conflicts.credit_account, conflicts.reported_amount, conflicts.reported_currency,
        conflicts.event_id
    FROM touched
    JOIN conflicts ON conflicts.namespace = touched.namespace AND conflicts.payment_id = touched.payment_id
    WHERE conflicts.kept IS NULL
    UNION ALL
    SELECT
        held_back.namespace, held_back.payment_id, held_back.movement,
        coalesce(held_back.dispute_id, substr(held_back.movement, strpos(held_back.movement, ':') + 1)),
        held_back.debit_account, held_back.credit_account, held_back.amount, held_back.currency, held_back.event_id
    FROM touched
    JOIN held_back ON held_back.namespace = touched.namespace AND held_back.payment_id = touched.payment_id
    WHERE held_back.reason = 'conflict' AND held_back.released_at IS NULL
$$;

-- The sums are numeric: no number of large amounts can break the view.
DROP VIEW balances;
CREATE VIEW balances AS
SELECT
    namespace, account, currency, sum(debit) AS debits, sum(credit) AS credits, sum(credit) - sum(debit) AS balance
FROM (
    SELECT namespace, debit_account AS account, currency, amount::numeric AS debit, 0::numeric AS credit FROM transfers
    UNION ALL
    SELECT namespace, credit_account, currency, 0, amount FROM transfers
) AS sides
GROUP BY namespace, account, currency;

-- The codes of contract/money.py, which a test compares. Rows of before are not checked.
CREATE FUNCTION is_currency(code text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN code IN (
    'AED', 'AFN', 'ALL', 'AMD', 'ANG', 'AOA', 'ARS', 'AUD', 'AWG', 'AZN', 'BAM', 'BBD', 'BDT', 'BGN', 'BHD',
    'BIF', 'BMD', 'BND', 'BOB', 'BOV', 'BRL', 'BSD', 'BTN', 'BWP', 'BYN', 'BZD', 'CAD', 'CDF', 'CHE', 'CHF',
    'CHW', 'CLF', 'CLP', 'CNY', 'COP', 'COU', 'CRC', 'CUC', 'CUP', 'CVE', 'CZK', 'DJF', 'DKK', 'DOP', 'DZD',
    'EGP', 'ERN', 'ETB', 'EUR', 'FJD', 'FKP', 'GBP', 'GEL', 'GHS', 'GIP', 'GMD', 'GNF', 'GTQ', 'GYD', 'HKD',
    'HNL', 'HRK', 'HTG', 'HUF', 'IDR', 'ILS', 'INR', 'IQD', 'IRR', 'ISK', 'JMD', 'JOD', 'JPY', 'KES', 'KGS',
    'KHR', 'KMF', 'KPW', 'KRW', 'KWD', 'KYD', 'KZT', 'LAK', 'LBP', 'LKR', 'LRD', 'LSL', 'LYD', 'MAD', 'MDL',
    'MGA', 'MKD', 'MMK', 'MNT', 'MOP', 'MRO', 'MRU', 'MUR', 'MVR', 'MWK', 'MXN', 'MXV', 'MYR', 'MZN', 'NAD',
    'NGN', 'NIO', 'NOK', 'NPR', 'NZD', 'OMR', 'PAB', 'PEN', 'PGK', 'PHP', 'PKR', 'PLN', 'PYG', 'QAR', 'RON',
    'RSD', 'RUB', 'RWF', 'SAR', 'SBD', 'SCR', 'SDG', 'SEK', 'SGD', 'SHP', 'SLE', 'SLL', 'SOS', 'SRD', 'SSP',
    'STD', 'STN', 'SVC', 'SYP', 'SZL', 'THB', 'TJS', 'TMT', 'TND', 'TOP', 'TRY', 'TTD', 'TWD', 'TZS', 'UAH',
    'UGX', 'USD', 'USN', 'UYI', 'UYU', 'UYW', 'UZS', 'VED', 'VEF', 'VES', 'VND', 'VUV', 'WST', 'XAF', 'XCD',
    'XCG', 'XOF', 'XPF', 'YER', 'ZAR', 'ZMW', 'ZWG', 'ZWL'
);

ALTER TABLE transfers
    ADD CONSTRAINT currency_is_known CHECK (is_currency(currency)) NOT VALID,
    ADD CONSTRAINT amount_has_a_limit CHECK (amount <= 100000000000000000) NOT VALID;
ALTER TABLE payments ADD CONSTRAINT currency_is_known CHECK (is_currency(currency)) NOT VALID;
ALTER TABLE disputes ADD CONSTRAINT currency_is_known CHECK (is_currency(currency)) NOT VALID;

-- Nothing that was recorded can be emptied at once. TRUNCATE fires no trigger on UPDATE or DELETE, so it has its own.
CREATE FUNCTION refuse_truncate() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is kept: it is part of the books, and TRUNCATE would lose it', TG_TABLE_NAME;
END
$$;

CREATE TRIGGER events_are_kept BEFORE TRUNCATE ON events
FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();
CREATE TRIGGER duplicates_are_kept BEFORE TRUNCATE ON duplicates
FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();
CREATE TRIGGER dead_letters_are_kept BEFORE TRUNCATE ON dead_letters
FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();
CREATE TRIGGER payments_are_kept BEFORE TRUNCATE ON payments
FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();
CREATE TRIGGER transfers_are_kept BEFORE TRUNCATE ON transfers
FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();
CREATE TRIGGER disputes_are_kept BEFORE TRUNCATE ON disputes
FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();
CREATE TRIGGER conflicts_are_kept BEFORE TRUNCATE ON conflicts
FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();
CREATE TRIGGER held_back_is_kept BEFORE TRUNCATE ON held_back
FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();
CREATE TRIGGER events_of_other_mode_are_kept BEFORE TRUNCATE ON events_of_other_mode
FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();

-- migrate: rollback

DROP TABLE events_of_other_mode;
DROP TRIGGER events_are_kept ON events;
DROP TRIGGER duplicates_are_kept ON duplicates;
DROP TRIGGER dead_letters_are_kept ON dead_letters;
DROP TRIGGER payments_are_kept ON payments;
DROP TRIGGER transfers_are_kept ON transfers;
DROP TRIGGER disputes_are_kept ON disputes;
DROP TRIGGER conflicts_are_kept ON conflicts;
DROP TRIGGER held_back_is_kept ON held_back;
DROP FUNCTION refuse_truncate;
ALTER TABLE disputes DROP CONSTRAINT currency_is_known;
ALTER TABLE payments DROP CONSTRAINT currency_is_known;
ALTER TABLE transfers DROP CONSTRAINT currency_is_known, DROP CONSTRAINT amount_has_a_limit;
DROP FUNCTION is_currency;
DROP VIEW balances;
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
DROP FUNCTION reported_transfers;
ALTER TABLE disputes DROP COLUMN disputed, DROP COLUMN disputed_currency, DROP COLUMN status;
ALTER TABLE disputes
    DROP COLUMN withdrawn_amount, DROP COLUMN reinstated_amount, DROP COLUMN money_currency, DROP COLUMN won_at,
    DROP COLUMN lost_at, DROP COLUMN claimed;
ALTER TABLE held_back DROP COLUMN dispute_id;
ALTER TABLE conflicts DROP COLUMN dispute_id;
ALTER TABLE transfers DROP COLUMN dispute_id;
ALTER TABLE payments
    DROP COLUMN account, DROP COLUMN captured_outside, DROP COLUMN disputed_currency, DROP COLUMN currency_assumed;
ALTER TABLE events DROP COLUMN mode, DROP COLUMN account;
