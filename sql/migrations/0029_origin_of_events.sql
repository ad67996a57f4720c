-- Events that were found in the provider's list, and not delivered
-- depends: 0028_archive_fingerprints

-- migrate: apply

-- Nothing reads the rows there are: the new rules are checked for new rows only, so that no worker waits for a large table.
ALTER TABLE events
    ADD COLUMN origin text DEFAULT 'delivery' NOT NULL,
    ADD CONSTRAINT events_origin_check CHECK (origin IN ('delivery', 'reconcile')) NOT VALID,
    DROP CONSTRAINT events_signed_check,
    ADD CONSTRAINT events_signed_check CHECK (signed IN ('body', 'fields', 'weak', 'reference', 'api')) NOT VALID;

-- migrate: rollback

ALTER TABLE events
    DROP COLUMN origin,
    DROP CONSTRAINT events_signed_check,
    ADD CONSTRAINT events_signed_check CHECK (signed IN ('body', 'fields', 'weak', 'reference')) NOT VALID;
