-- A payment's row follows the decisions about its conflicts
-- depends: 0016_open_dead_letters

-- migrate: apply

-- asked: per currency that events named for the payment, the largest amount that was asked for, apart from captures of
-- that amount by the same event. Null where it is not known: rows of earlier releases, and what their workers insert
-- meanwhile. decided: a person has decided about a conflict of the payment, so that its amounts are computed again with
-- each event. The defaults leave the rows of before as they are, until a decision or another event about a conflict.
ALTER TABLE payments
    ADD COLUMN asked   jsonb,
    ADD COLUMN decided boolean NOT NULL DEFAULT false;

-- migrate: rollback

ALTER TABLE payments DROP COLUMN asked, DROP COLUMN decided;
