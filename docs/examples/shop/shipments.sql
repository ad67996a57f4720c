CREATE TABLE shipments (
    namespace  text NOT NULL,
    payment_id text NOT NULL,
    PRIMARY KEY (namespace, payment_id)
);
