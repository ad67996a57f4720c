-- While users' handlers work in a transaction, it cannot be committed
-- depends: 0002_money

-- migrate: apply

-- A row stands here while handlers are called, and waits for one that never comes: should a handler say COMMIT, Postgres
-- refuses and undoes everything, instead of keeping the batch's claims without what the other handlers had yet to do.
-- The row is taken away before the worker commits, so that the table is empty for everybody else.
CREATE TABLE unfinished (
    transaction_id xid8 PRIMARY KEY DEFAULT pg_current_xact_id(),
    waits_for      xid8 NOT NULL DEFAULT '0'
        CONSTRAINT only_the_worker_commits REFERENCES unfinished (transaction_id) DEFERRABLE INITIALLY DEFERRED
);

-- migrate: rollback

DROP TABLE unfinished;
