-- What a person asks the reconciler for
-- depends: 0031_confirmations

-- migrate: apply

-- A comparison at once, for whom and why; `asked_repair`: what is missing is added to the stream.
ALTER TABLE reconciliations
    ADD COLUMN asked_at timestamptz,
    ADD COLUMN asked_by text,
    ADD COLUMN asked_reason text,
    ADD COLUMN asked_repair boolean,
    ADD CONSTRAINT reconciliations_asked_check CHECK (
        (asked_at IS NULL) = (asked_by IS NULL)
        AND (asked_at IS NULL) = (asked_reason IS NULL)
        AND (asked_at IS NULL) = (asked_repair IS NULL)
    );

-- migrate: rollback

ALTER TABLE reconciliations
    DROP CONSTRAINT reconciliations_asked_check,
    DROP COLUMN asked_at,
    DROP COLUMN asked_by,
    DROP COLUMN asked_reason,
    DROP COLUMN asked_repair;
