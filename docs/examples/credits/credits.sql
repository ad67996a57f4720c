-- Credits of customers, in minor units: what was paid for them is granted, what was refunded is taken back.

-- Who is granted the credit of a payment. A refund may come first, so its change can stand here without an owner.
CREATE TABLE credit_owners (
    namespace   text NOT NULL,
    payment_id  text NOT NULL,
    customer_id text NOT NULL,
    PRIMARY KEY (namespace, payment_id)
);

CREATE TABLE credit_changes (
    id         uuid        PRIMARY KEY, -- the fact's idempotency key
    namespace  text        NOT NULL,
    payment_id text        NOT NULL,
    amount     bigint      NOT NULL,
    currency   text        NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX credit_changes_of_payment ON credit_changes (namespace, payment_id);

CREATE VIEW credits AS
SELECT customer_id, currency, sum(amount)::bigint AS balance
FROM credit_changes
JOIN credit_owners USING (namespace, payment_id)
GROUP BY customer_id, currency;
