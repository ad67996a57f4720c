-- The personal data of one payment or event can be erased
-- depends: 0024_workers_without_archive

-- migrate: apply

-- Erases the payloads of events, in the act of a person. Those that a decision will read again are refused. Returns how
-- many were erased.
CREATE FUNCTION erase_payloads(namespaces text[], event_ids text[]) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
DECLARE
    erased bigint;
BEGIN
    IF EXISTS (
        SELECT
        FROM unnest(namespaces, event_ids) AS named (namespace, event_id)
        JOIN payloads_in_use() AS used ON used.namespace = named.namespace AND used.event_id = named.event_id
    ) THEN
        RAISE EXCEPTION 'an event has facts on hold or is in an open conflict, so that its payload is read again';
    END IF;
    DELETE FROM payloads
    USING unnest(namespaces, event_ids) AS named (namespace, event_id), events
    WHERE events.namespace = named.namespace AND events.event_id = named.event_id
      AND payloads.received_at = events.received_at
      AND payloads.namespace = named.namespace AND payloads.event_id = named.event_id;
    GET DIAGNOSTICS erased = ROW_COUNT;
    RETURN erased;
END
$$;

REVOKE ALL ON FUNCTION erase_payloads(text[], text[]) FROM PUBLIC;

-- migrate: rollback

DROP FUNCTION erase_payloads(text[], text[]);
