-- Who holds what a worker waits for.

-- name: find_lock_holder :one
-- Returns the first session that keeps the transaction of this name from going on: its process id, program, state, and
-- the seconds since that changed.
SELECT blocker.pid, blocker.application_name, blocker.state,
       extract(epoch FROM now() - blocker.state_change)::integer AS state_s
FROM pg_stat_activity AS waiting
CROSS JOIN LATERAL unnest(pg_blocking_pids(waiting.pid)) AS blocking (pid)
JOIN pg_stat_activity AS blocker ON blocker.pid = blocking.pid
WHERE waiting.pid = :pid
LIMIT 1;

-- name: wait_for_locks :one
-- Lets this transaction wait for locks of others as long as is given, such as `5s`. Returns which process works on it:
-- a pooler invents the one that it names when a client connects.
SELECT set_config('lock_timeout', :limit, true) AS lock_timeout, pg_backend_pid() AS pid;
