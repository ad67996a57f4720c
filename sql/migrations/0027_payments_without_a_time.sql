-- A payment whose events name no time, and that moved no money, goes to the archive too
-- depends: 0026_limits_of_partitions

-- migrate: apply

-- When the row was made. Rows of before have the time of this migration, which writes none of them again.
ALTER TABLE payments ADD COLUMN recorded_at timestamptz NOT NULL DEFAULT now();

-- As before, but a payment without any other time is as old as its row. Its later events do not count: should one have
-- come since, the payment only comes back with the next.
CREATE OR REPLACE FUNCTION find_quiet_payments(namespaces text[], payment_ids text[], quiet_since timestamptz)
    RETURNS TABLE (namespace text, payment_id text)
    LANGUAGE sql VOLATILE ROWS 500
    SET search_path = public, pg_temp
    AS $$
    SELECT payments.namespace, payments.payment_id
    FROM unnest(namespaces, payment_ids) AS wanted (namespace, payment_id)
    JOIN ONLY payments USING (namespace, payment_id)
    CROSS JOIN LATERAL (
        SELECT
            max(transfers.booked_at) AS booked_at,
            coalesce(bool_and(is_currency(transfers.currency) AND transfers.amount <= 100000000000000000), true) AS is_valid
        FROM ONLY transfers
        WHERE transfers.namespace = payments.namespace AND transfers.payment_id = payments.payment_id
    ) AS moved
    WHERE coalesce(greatest(payments.last_occurred_at, moved.booked_at), payments.recorded_at) < quiet_since
      AND moved.is_valid AND is_currency(payments.currency)
      AND NOT EXISTS (
          SELECT FROM conflicts
          WHERE conflicts.kept IS NULL
            AND conflicts.namespace = payments.namespace AND conflicts.payment_id = payments.payment_id)
      AND NOT EXISTS (
          SELECT FROM held_back
          WHERE held_back.released_at IS NULL
            AND held_back.namespace = payments.namespace AND held_back.payment_id = payments.payment_id)
      AND NOT EXISTS (
          SELECT FROM disputes
          WHERE disputes.status = 'open'
            AND disputes.namespace = payments.namespace AND disputes.payment_id = payments.payment_id)
$$;

-- migrate: rollback

CREATE OR REPLACE FUNCTION find_quiet_payments(namespaces text[], payment_ids text[], quiet_since timestamptz)
    RETURNS TABLE (namespace text, payment_id text)
    LANGUAGE sql VOLATILE ROWS 500
    SET search_path = public, pg_temp
    AS $$
    SELECT payments.namespace, payments.payment_id
    FROM unnest(namespaces, payment_ids) AS wanted (namespace, payment_id)
    JOIN ONLY payments USING (namespace, payment_id)
    CROSS JOIN LATERAL (
        SELECT
            max(transfers.booked_at) AS booked_at,
            coalesce(bool_and(is_currency(transfers.currency) AND transfers.amount <= 100000000000000000), true) AS is_valid
        FROM ONLY transfers
        WHERE transfers.namespace = payments.namespace AND transfers.payment_id = payments.payment_id
    ) AS moved
    WHERE greatest(payments.last_occurred_at, moved.booked_at) < quiet_since
      AND moved.is_valid AND is_currency(payments.currency)
      AND NOT EXISTS (
          SELECT FROM conflicts
          WHERE conflicts.kept IS NULL
            AND conflicts.namespace = payments.namespace AND conflicts.payment_id = payments.payment_id)
      AND NOT EXISTS (
          SELECT FROM held_back
          WHERE held_back.released_at IS NULL
            AND held_back.namespace = payments.namespace AND held_back.payment_id = payments.payment_id)
      AND NOT EXISTS (
          SELECT FROM disputes
          WHERE disputes.status = 'open'
            AND disputes.namespace = payments.namespace AND disputes.payment_id = payments.payment_id)
$$;

ALTER TABLE payments DROP COLUMN recorded_at;
