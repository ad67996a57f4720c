-- While users' handlers work in a transaction, it cannot be committed
-- depends: 0002_money

-- migrate: apply

-- While handlers are called, a row here references one that never exists. If a handler says COMMIT, Postgres refuses and
-- rolls back, instead of keeping the batch's claims without the work of the remaining handlers. The worker deletes the
-- row before it commits. Replaced by commit_guard (0004).
CREATE TABLE unfinished (
    transaction_id xid8 PRIMARY KEY DEFAULT pg_current_xact_id(),
    waits_for      xid8 NOT NULL DEFAULT '0'
        CONSTRAINT only_the_worker_commits REFERENCES unfinished (transaction_id) DEFERRABLE INITIALLY DEFERRED
);

-- migrate: rollback

DROP TABLE unfinished;
