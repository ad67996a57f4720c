-- The operators' log: who did what, when and why, each row chained to the one before by a hash
-- depends: 0010_currency_check

-- migrate: apply

-- One row per act that changed something, written by the act's own transaction. The trigger below sets id, acted_at and
-- both hashes. touched: how many things the act changed; details names them. previous_hash is '' in the first row.
CREATE TABLE operations (
    id            bigint      PRIMARY KEY CHECK (id > 0),
    acted_at      timestamptz NOT NULL,
    actor         text        NOT NULL CHECK (actor <> ''),
    face          text        NOT NULL CHECK (face IN ('command', 'console')),
    action        text        NOT NULL CHECK (action <> ''),
    subject       text        NOT NULL,
    reason        text        NOT NULL,
    touched       bigint      NOT NULL CHECK (touched >= 0),
    details       jsonb       NOT NULL,
    previous_hash text        NOT NULL,
    hash          text        NOT NULL
);

-- The hash of a row, in hex: of its content and of the hash before it, so that no row can change without all after it.
CREATE FUNCTION operation_hash(
    id bigint, acted_at timestamptz, actor text, face text, action text, subject text, reason text, touched bigint,
    details jsonb, previous_hash text
) RETURNS text
LANGUAGE sql STABLE
RETURN encode(sha256(convert_to(jsonb_build_array(
    id, (extract(epoch FROM acted_at) * 1000000)::bigint, actor, face, action, subject, reason, touched, details,
    previous_hash)::text, 'UTF8')), 'hex');

-- Puts a new row at the end of the chain. The lock is held until the transaction ends, so that rows are numbered without
-- gaps in the order of their commits. Each statement here sees what was committed before it, as long as the transaction
-- is READ COMMITTED; in another one the primary key refuses a number that was taken meanwhile.
CREATE FUNCTION chain_operation() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('payments:operations', 0));
    SELECT last.id, last.hash INTO NEW.id, NEW.previous_hash FROM operations AS last ORDER BY last.id DESC LIMIT 1;
    NEW.id := coalesce(NEW.id, 0) + 1;
    NEW.previous_hash := coalesce(NEW.previous_hash, '');
    NEW.acted_at := clock_timestamp();
    NEW.hash := operation_hash(
        NEW.id, NEW.acted_at, NEW.actor, NEW.face, NEW.action, NEW.subject, NEW.reason, NEW.touched, NEW.details,
        NEW.previous_hash);
    RETURN NEW;
END
$$;

CREATE TRIGGER operations_are_chained BEFORE INSERT ON operations
FOR EACH ROW EXECUTE FUNCTION chain_operation();

CREATE FUNCTION refuse_change_of_operations() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'operations are append-only: what somebody did stays in the log';
END
$$;

CREATE TRIGGER operations_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON operations
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_operations();

-- migrate: rollback

DROP TABLE operations;
DROP FUNCTION chain_operation, refuse_change_of_operations, operation_hash;
