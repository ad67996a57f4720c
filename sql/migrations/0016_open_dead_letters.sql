-- Open dead letters in the order of their numbers, however many were closed
-- depends: 0015_notifications

-- migrate: apply

-- Lists of open ones read the primary key before, and with it every closed one. Only dead letters pay for it.
CREATE INDEX dead_letters_open_by_id ON dead_letters (id) WHERE state = 'open';

-- migrate: rollback

DROP INDEX dead_letters_open_by_id;
