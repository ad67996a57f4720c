-- Moving what has been quiet for long out of the tables that workers write to. Each statement is a transaction of its own.

-- name: find_quiet_since :one
-- Returns the beginning of the month that was `after_days` ago: a month moves at once, and a page of the archive's key is
-- changed for several of its rows. And whether all workers know the archive by now.
SELECT
    date_trunc('month', now() - make_interval(days => :after_days::integer), 'UTC') AS quiet_since,
    coalesce(bool_and(made_at + :rolling_upgrade::interval <= now()), false) AS is_usable
FROM archives;

-- name: is_event_quiet :one
-- Returns whether any event is to be moved.
SELECT EXISTS (SELECT FROM ONLY events WHERE committed_at < :quiet_since) AS is_quiet;

-- name: count_pages_to_archive :one
-- Returns the sizes of the tables that are read from their beginning to their end.
SELECT pg_relation_size('events') / current_setting('block_size')::bigint AS events;

-- name: archive_events :one
-- Moves the old events of some pages, and returns their number.
SELECT archive_events(
    :quiet_since::timestamptz, :first_page::bigint, :end_page::bigint, :rolling_upgrade::interval) AS moved;
