-- Indexes for searching that cost the workers nothing
-- depends: 0011_operations
-- transaction: false

-- migrate: apply

-- Workers write while these are built: concurrently, which no transaction may contain. What an attempt that failed has
-- left, perhaps an invalid index, is made again.
DROP INDEX CONCURRENTLY IF EXISTS events_by_time;
DROP INDEX CONCURRENTLY IF EXISTS duplicates_by_time;
DROP INDEX CONCURRENTLY IF EXISTS events_by_payment;
DROP INDEX CONCURRENTLY IF EXISTS dead_letters_by_time;
DROP INDEX CONCURRENTLY IF EXISTS dead_letters_of_event;
DROP INDEX CONCURRENTLY IF EXISTS dead_letters_of_payment;

-- Rows are inserted in the order of time, so that a BRIN index, of some kilobytes, finds the pages of a window of time.
-- An insert writes to it once in 128 pages, and autosummarize leaves the rest to autovacuum.
CREATE INDEX CONCURRENTLY events_by_time ON events
USING brin (committed_at) WITH (pages_per_range = 128, autosummarize = on);
CREATE INDEX CONCURRENTLY duplicates_by_time ON duplicates
USING brin (recorded_at) WITH (pages_per_range = 128, autosummarize = on);

-- A Bloom filter of the payments of each 128 pages, made when they are full: the events of one payment are found
-- without a B-tree of random keys, which would cost each insert a page.
CREATE INDEX CONCURRENTLY events_by_payment ON events
USING brin (resource text_bloom_ops (n_distinct_per_range = 5000))
WITH (pages_per_range = 128, autosummarize = on);

-- Dead letters are rare: ordinary indexes of theirs cost no event anything.
CREATE INDEX CONCURRENTLY dead_letters_by_time ON dead_letters (state, died_at, id);
CREATE INDEX CONCURRENTLY dead_letters_of_event ON dead_letters (event_id);
CREATE INDEX CONCURRENTLY dead_letters_of_payment ON dead_letters (resource);

-- migrate: rollback

DROP INDEX IF EXISTS dead_letters_of_payment, dead_letters_of_event, dead_letters_by_time,
    events_by_payment, duplicates_by_time, events_by_time;
