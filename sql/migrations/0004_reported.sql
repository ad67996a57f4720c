-- Columns and a table get the names that the documentation uses; workers of the release before keep working
-- depends: 0003_handlers

-- migrate: apply

-- told_amount, told_currency and decision are followed by reported_amount, reported_currency and kept ('booked' or
-- 'reported', where decision says 'told'). A trigger keeps each pair equal, whichever of the two a worker writes, so
-- that workers of both releases can run on this schema. The old columns, and `unfinished`, go with a later release.
ALTER TABLE conflicts
    ADD COLUMN reported_amount   bigint,
    ADD COLUMN reported_currency text,
    ADD COLUMN kept              text CHECK (kept IN ('booked', 'reported'));

UPDATE conflicts
SET reported_amount = told_amount, reported_currency = told_currency,
    kept = CASE decision WHEN 'told' THEN 'reported' ELSE decision END;

ALTER TABLE conflicts
    ALTER COLUMN reported_amount SET NOT NULL,
    ALTER COLUMN reported_currency SET NOT NULL,
    ADD CONSTRAINT conflicts_are_recorded_once
        UNIQUE (namespace, movement, payment_id, reported_amount, reported_currency);

CREATE INDEX conflicts_without_decision ON conflicts (namespace, payment_id) WHERE kept IS NULL;

-- Of an inserted row OLD is null, so that the names that were written are those that differ from it.
CREATE FUNCTION copy_renamed_columns() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.told_amount IS DISTINCT FROM OLD.told_amount THEN
        NEW.reported_amount := NEW.told_amount;
    ELSE
        NEW.told_amount := NEW.reported_amount;
    END IF;
    IF NEW.told_currency IS DISTINCT FROM OLD.told_currency THEN
        NEW.reported_currency := NEW.told_currency;
    ELSE
        NEW.told_currency := NEW.reported_currency;
    END IF;
    IF NEW.decision IS DISTINCT FROM OLD.decision THEN
        NEW.kept := CASE NEW.decision WHEN 'told' THEN 'reported' ELSE NEW.decision END;
    ELSE
        NEW.decision := CASE NEW.kept WHEN 'reported' THEN 'told' ELSE NEW.kept END;
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER conflicts_have_both_names BEFORE INSERT OR UPDATE ON conflicts
FOR EACH ROW EXECUTE FUNCTION copy_renamed_columns();

-- While handlers are called, a row here references one that never exists. If a handler says COMMIT, Postgres refuses
-- and rolls back, instead of keeping the batch's claims without the work of the remaining handlers. The worker deletes
-- the row before it commits, so that the table is always empty for others.
CREATE TABLE commit_guard (
    transaction_id xid8 PRIMARY KEY DEFAULT pg_current_xact_id(),
    waits_for      xid8 NOT NULL DEFAULT '0'
        CONSTRAINT only_the_worker_commits REFERENCES commit_guard (transaction_id) DEFERRABLE INITIALLY DEFERRED
);

-- migrate: rollback

DROP TABLE commit_guard;
DROP TRIGGER conflicts_have_both_names ON conflicts;
DROP FUNCTION copy_renamed_columns;
ALTER TABLE conflicts DROP COLUMN reported_amount, DROP COLUMN reported_currency, DROP COLUMN kept;
