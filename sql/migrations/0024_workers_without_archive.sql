-- A worker that knows no archive is refused where it would apply or book something again
-- depends: 0023_room_in_payments

-- migrate: apply

-- Workers of the release before, after a rollback, insert what they do not see: an event that is in the archive would be
-- applied again, and a payment would get a second row. Their statement fails instead, and the event waits for a person.
-- Workers that know the archive say so in each transaction (lock_resources), and cost nothing more.
CREATE FUNCTION refuse_second_row() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = public, pg_temp
    SET enable_seqscan = off
    AS $$
DECLARE
    known boolean;
BEGIN
    IF TG_TABLE_NAME = 'events' THEN
        SELECT EXISTS (
            SELECT FROM added
            JOIN ONLY events USING (namespace, event_id)
            JOIN events_archive USING (namespace, event_id)
        ) INTO known;
    ELSIF TG_TABLE_NAME = 'payments' THEN
        SELECT EXISTS (
            SELECT FROM added
            JOIN ONLY payments USING (namespace, payment_id)
            JOIN payments_archive USING (namespace, payment_id)
        ) INTO known;
    ELSE
        SELECT EXISTS (
            SELECT FROM added
            JOIN ONLY transfers USING (namespace, movement)
            JOIN transfers_archive USING (namespace, movement)
        ) INTO known;
    END IF;
    IF known THEN
        RAISE EXCEPTION 'it is in %_archive, which this release does not know: use the next one', TG_TABLE_NAME;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER events_are_in_one_table AFTER INSERT ON events
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT
    WHEN (current_setting('payments.archive', true) IS DISTINCT FROM 'known')
    EXECUTE FUNCTION refuse_second_row();
CREATE TRIGGER payments_are_in_one_table AFTER INSERT ON payments
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT
    WHEN (current_setting('payments.archive', true) IS DISTINCT FROM 'known')
    EXECUTE FUNCTION refuse_second_row();
CREATE TRIGGER transfers_are_in_one_table AFTER INSERT ON transfers
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT
    WHEN (current_setting('payments.archive', true) IS DISTINCT FROM 'known')
    EXECUTE FUNCTION refuse_second_row();

-- migrate: rollback

DROP TRIGGER transfers_are_in_one_table ON transfers;
DROP TRIGGER payments_are_in_one_table ON payments;
DROP TRIGGER events_are_in_one_table ON events;
DROP FUNCTION refuse_second_row();
