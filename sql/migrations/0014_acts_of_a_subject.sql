-- Indexes that find what people did to one dead letter, payment or event
-- depends: 0013_audits

-- migrate: apply

-- By equality alone, and a subject may be longer than a B-tree takes. The log has one row for an act of a person, so
-- that an index of it costs no event anything.
CREATE INDEX operations_of_subject ON operations USING hash (subject);

-- An act on several events names them: details is {"events": ["acme/evt_1", …]}.
CREATE INDEX operations_of_events ON operations USING gin ((details -> 'events'));

-- migrate: rollback

DROP INDEX operations_of_events, operations_of_subject;
