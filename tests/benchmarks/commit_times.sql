-- When events were committed, by the clock of the commits themselves.

-- name: commit_times :many
-- Unix seconds. `now()` would be the transaction's beginning; this is the time at which its commit record was written.
SELECT event_id, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 AS committed_s FROM events;

-- name: commit_one :one
-- A transaction of its own that has something to commit.
INSERT INTO flushes DEFAULT VALUES RETURNING id;

-- name: commit_of_one :one
-- When its commit record was written.
SELECT extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 FROM flushes WHERE id = $1;

-- name: make_flushes :exec
-- Where `commit_one` writes.
CREATE TABLE flushes (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
