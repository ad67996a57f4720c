-- Moving what has been quiet for long out of the tables that workers write to. Each statement is a transaction of its own.

-- name: find_quiet_since :one
-- Returns the beginning of the month that was `after_days` ago: a month moves at once, and a page of the archive's key is
-- changed for several of its rows. And whether all workers know the archive by now.
SELECT
    date_trunc('month', now() - make_interval(days => :after_days::integer), 'UTC') AS quiet_since,
    coalesce(bool_and(made_at + :rolling_upgrade::interval <= now()), false) AS is_usable
FROM archives;

-- name: count_pages_to_archive :one
-- Returns the sizes of the tables that are read from their beginning to their end.
SELECT
    pg_relation_size('events') / current_setting('block_size')::bigint AS archive_events,
    pg_relation_size('payments') / current_setting('block_size')::bigint AS archive_payments;

-- name: archive_events :one
-- Moves the old events of some pages, and returns their number.
SELECT archive_events(
    :quiet_since::timestamptz, :first_page::bigint, :end_page::bigint, :rolling_upgrade::interval) AS events;

-- name: archive_payments :one
-- Moves the quiet payments of some pages with their transfers, and returns the numbers of both.
SELECT payments_moved AS payments, transfers_moved AS transfers
FROM archive_payments(
    :quiet_since::timestamptz, :first_page::bigint, :end_page::bigint, :rolling_upgrade::interval);

-- name: list_sparse_indexes :many
-- Returns the B-trees that are much larger than their rows need, with the statement that rebuilds each while workers
-- write. No transaction may contain it.
SELECT index.relname::text AS name, format('REINDEX INDEX CONCURRENTLY public.%I', index.relname) AS rebuild
FROM pg_index
JOIN pg_class AS index ON index.oid = indexrelid
JOIN pg_class AS indexed ON indexed.oid = indrelid
JOIN pg_am ON pg_am.oid = index.relam
WHERE indrelid IN (to_regclass('public.events'), to_regclass('public.payments'), to_regclass('public.transfers'))
  AND amname = 'btree' AND indisvalid AND indexed.reltuples >= 0
  AND pg_relation_size(indexrelid) > greatest(:bytes_min::bigint, indexed.reltuples * :bytes_per_row::bigint)
ORDER BY index.relname;

-- name: list_half_made_indexes :many
-- Returns the statements that drop what an attempt that was interrupted has left.
SELECT format('DROP INDEX CONCURRENTLY IF EXISTS public.%I', relname) AS drop
FROM pg_index
JOIN pg_class ON pg_class.oid = indexrelid
WHERE indrelid IN (to_regclass('public.events'), to_regclass('public.payments'), to_regclass('public.transfers'))
  AND NOT indisvalid AND relname ~ '_cc(new|old)[0-9]*$';
