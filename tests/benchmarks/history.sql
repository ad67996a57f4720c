-- A history of many events, as `pages` and `scale` need it: random ids, in the order of time, spread over some days.

-- name: list_months :many
-- Returns the statements that make the partitions of the past months, as they would be by now.
SELECT format(
    'CREATE TABLE IF NOT EXISTS %I PARTITION OF payloads FOR VALUES FROM (%L) TO (%L)',
    'payloads_' || to_char(month, 'YYYY_MM'), month, month + interval '1 month') AS make
FROM generate_series(
    date_trunc('month', now() - make_interval(days => :days::integer + 1)), now() - interval '1 month',
    interval '1 month') AS month;

-- name: list_indexes :many
-- Returns the statements that drop the keys and indexes of the large tables, and those that make them again once the
-- rows are there: ten times as fast. Keys come before what refers to them.
SELECT
    format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname) AS drop,
    format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) AS again,
    contype = 'f' AS is_reference
FROM pg_constraint
WHERE contype IN ('p', 'f')
  AND conrelid::regclass::text IN ('events', 'events_archive', 'payloads', 'payments', 'payments_archive', 'transfers', 'transfers_archive',
                               'duplicates')
UNION ALL
SELECT format('DROP INDEX %I', indexname), indexdef, false
FROM pg_indexes
WHERE tablename IN ('events', 'events_archive', 'payments', 'payments_archive', 'transfers', 'transfers_archive',
                    'duplicates')
  AND indexname NOT LIKE '%_pkey'
ORDER BY is_reference;

-- name: fill_numbers :exec
-- Names each event, its payment, its source and its time. One payment has 10,000 events, the others have four. A payment
-- is hot, and stays where workers insert, if its last event is of the last days.
CREATE UNLOGGED TABLE numbers AS
SELECT
    n,
    (CASE WHEN payment % 10 < 7 THEN 'stripe' WHEN payment % 10 < 9 THEN 'paypal' ELSE 'adyen' END)::text AS source,
    'evt_' || md5(n::text) AS event_id,
    CASE WHEN payment = 0 THEN 'pi_large' ELSE 'pi_' || md5('payment' || payment) END AS payment_id,
    n % 4 AS step,
    now() - make_interval(days => :days::integer) * ((:rows::bigint - n + 1)::float8 / :rows::bigint) AS at,
    payment = 0 OR payment * 4 > :rows::bigint * (1 - :hot_days::float8 / :days::float8) AS is_hot
FROM (
    SELECT n, CASE WHEN n % greatest(:rows::bigint / 10000, 2) = 0 THEN 0 ELSE n / 4 + 1 END AS payment
    FROM generate_series(1, :rows::bigint) AS n
) AS named;

-- name: fill_events :exec
-- One row each, of the last days.
INSERT INTO events (
    namespace, event_id, source, provider, entry_id, type, resource, signed, occurred_at, received_at, committed_at,
    mode
)
SELECT
    source, event_id, source, 'stripe', (extract(epoch FROM at) * 1000)::bigint || '-' || n,
    (ARRAY['payment_intent.created', 'payment_intent.succeeded', 'charge.refunded', 'charge.updated'])[step + 1],
    payment_id, 'body', at - interval '1 second', at - interval '0.1 second', at, 'live'
FROM numbers
WHERE at >= now() - make_interval(days => :hot_days::integer)
ORDER BY n;

-- name: fill_events_archive :exec
-- The older ones are where workers move them after some time.
INSERT INTO events_archive (
    namespace, event_id, source, provider, entry_id, type, resource, signed, occurred_at, received_at, committed_at,
    mode
)
SELECT
    source, event_id, source, 'stripe', (extract(epoch FROM at) * 1000)::bigint || '-' || n,
    (ARRAY['payment_intent.created', 'payment_intent.succeeded', 'charge.refunded', 'charge.updated'])[step + 1],
    payment_id, 'body', at - interval '1 second', at - interval '0.1 second', at, 'live'
FROM numbers
WHERE at < now() - make_interval(days => :hot_days::integer)
ORDER BY n;

-- name: fill_payloads :exec
-- The signed bytes, shorter than a provider's.
INSERT INTO payloads (namespace, event_id, received_at, headers, body)
SELECT
    source, event_id, at - interval '0.1 second', '{"content-type": "application/json"}',
    convert_to(format(
        '{"id":"%s","object":"event","type":"payment_intent.succeeded","created":%s,"livemode":true,"data":{"object":'
        '{"id":"%s","object":"payment_intent","amount":1999,"amount_received":1999,"currency":"eur",'
        '"status":"succeeded","receipt_email":"somebody@example.com"}}}',
        event_id, extract(epoch FROM at)::bigint, payment_id), 'UTF8')
FROM numbers
ORDER BY n;

-- name: fill_payments :exec
-- One row for each payment that is hot.
INSERT INTO payments (
    namespace, payment_id, provider, currency, amount, captured, authorized, succeeded, first_occurred_at,
    last_occurred_at
)
SELECT source, payment_id, 'stripe', 'EUR', 1999, 1999, true, true, min(at), max(at)
FROM numbers
WHERE is_hot
GROUP BY source, payment_id
ORDER BY min(n);

-- name: fill_payments_archive :exec
-- One row for each other payment.
INSERT INTO payments_archive (
    namespace, payment_id, provider, currency, amount, captured, authorized, succeeded, first_occurred_at,
    last_occurred_at
)
SELECT source, payment_id, 'stripe', 'EUR', 1999, 1999, true, true, min(at), max(at)
FROM numbers
WHERE NOT is_hot
GROUP BY source, payment_id
ORDER BY min(n);

-- name: fill_transfers :exec
-- One movement of money for each event of a hot payment.
INSERT INTO transfers (
    namespace, movement, payment_id, debit_account, credit_account, amount, currency, event_id, booked_at
)
SELECT
    source, CASE WHEN step = 2 THEN 'refund:re_' ELSE 'capture:pi_' END || md5('movement' || n), payment_id,
    CASE WHEN step = 2 THEN 'merchant' ELSE 'provider:' || source END,
    CASE WHEN step = 2 THEN 'provider:' || source ELSE 'merchant' END, 1999 + step,
    (ARRAY['EUR', 'USD', 'GBP'])[n / 4 % 3 + 1], event_id, at
FROM numbers
WHERE is_hot
ORDER BY n;

-- name: fill_transfers_archive :exec
-- One for each event of the others.
INSERT INTO transfers_archive (
    namespace, movement, payment_id, debit_account, credit_account, amount, currency, event_id, booked_at
)
SELECT
    source, CASE WHEN step = 2 THEN 'refund:re_' ELSE 'capture:pi_' END || md5('movement' || n), payment_id,
    CASE WHEN step = 2 THEN 'merchant' ELSE 'provider:' || source END,
    CASE WHEN step = 2 THEN 'provider:' || source ELSE 'merchant' END, 1999 + step,
    (ARRAY['EUR', 'USD', 'GBP'])[n / 4 % 3 + 1], event_id, at
FROM numbers
WHERE NOT is_hot
ORDER BY n;

-- name: fill_duplicates :exec
-- Every fiftieth event came twice.
INSERT INTO duplicates (entry_id, namespace, event_id, source, received_at, recorded_at)
SELECT (extract(epoch FROM at) * 1000)::bigint || '-' || n || '0', source, event_id, source, at, at + interval '1 hour'
FROM numbers
WHERE n % 50 = 0
ORDER BY n;

-- name: fill_dead_letters :exec
-- 100,000 that are closed, and after them 1,000 that are open.
INSERT INTO dead_letters (
    entry_id, state, namespace, event_id, source, type, resource, reason, traceback, attempts, died_at,
    state_changed_at, field_names, field_values
)
SELECT
    n || '-7', CASE WHEN n > 100000 THEN 'open' WHEN n % 5 = 0 THEN 'discarded' ELSE 'replayed' END,
    'stripe', 'evt_dead_' || md5(n::text), 'stripe', 'charge.refunded', 'pi_dead_' || md5((n / 3)::text),
    (ARRAY['the shop timed out', 'no prices in GBP', 'order is not known', 'KeyError: customer'])[n % 4 + 1]
        || ' for order ' || n,
    repeat('Traceback (most recent call last): ', 40), 10, now() - interval '80 days' * ((101001 - n) / 101001.0),
    CASE WHEN n <= 100000 THEN now() END, ARRAY['\x76'::bytea, '\x626f6479'],
    ARRAY['\x31'::bytea, convert_to(repeat('x', 1000), 'UTF8')]
FROM generate_series(1, 101000) AS n
ORDER BY n;

-- name: fill_conflicts :exec
-- 20,000 that were decided, and 1,000 that wait for a person: the last one is of the payment with 10,000 events.
INSERT INTO conflicts (
    namespace, payment_id, movement, booked_amount, booked_currency, reported_amount, reported_currency, debit_account,
    credit_account, event_id, found_at, kept, decided_at
)
SELECT
    numbers.source, numbers.payment_id, 'capture:pi_' || md5('movement' || numbers.n), 1999, 'EUR', 2999, 'EUR',
    'provider:' || numbers.source, 'merchant', numbers.event_id, numbers.at,
    CASE WHEN each <= 20000 THEN 'booked' END, CASE WHEN each <= 20000 THEN now() END
FROM generate_series(1, 21000) AS each
JOIN numbers ON numbers.n = CASE WHEN each < 21000 THEN each * (:rows::bigint / 21001) + 1 ELSE (
    SELECT max(n) FROM numbers WHERE payment_id = 'pi_large'
) END
ORDER BY each;

-- name: fill_held_back :exec
-- 50,000 facts that were on hold once, 5,000 that no signature covers, and 1,000 that wait for a conflict's decision.
INSERT INTO held_back (
    namespace, event_id, payment_id, source, reason, kind, object, amount, currency, movement, held_at, released_at
)
SELECT
    source, event_id, payment_id, source, CASE WHEN each > 55000 THEN 'conflict' ELSE 'unsigned' END, 'captured',
    payment_id, 1999, 'EUR', CASE WHEN each > 55000 THEN 'capture:ch_' || each END, at,
    CASE WHEN each <= 50000 THEN now() END
FROM generate_series(1, 56000) AS each
JOIN numbers ON numbers.n = each * (:rows::bigint / 56001)
ORDER BY each;

-- name: fill_other_mode :exec
-- 20,000 test events of live sources.
INSERT INTO events_of_other_mode (namespace, event_id, source, mode, recorded_at, resource)
SELECT source, event_id, source, 'test', at, payment_id
FROM generate_series(1, 20000) AS each
JOIN numbers ON numbers.n = each * (:rows::bigint / 20001)
ORDER BY each;

-- name: fill_operations :exec
-- 20,000 acts. Each is chained to the one before.
INSERT INTO operations (actor, face, action, subject, reason, touched, details)
SELECT
    CASE WHEN n = 7 THEN 'ada' ELSE 'olga' END, 'console', 'replay', 'dead_letter:' || n, 'the shop is back', 1,
    jsonb_build_object('event', 'stripe/evt_dead_' || n, 'outcome', 'added')
FROM generate_series(1, 20000) AS n;

-- name: drop_numbers :exec
-- They were needed to fill the tables.
DROP TABLE numbers;

-- name: note_history :exec
-- Says what the history has, for a run that finds it.
CREATE TABLE history AS
SELECT :rows::bigint AS rows, :days::integer AS days, :hot_days::integer AS hot_days;

-- name: is_noted :one
-- Returns whether there is a whole history.
SELECT to_regclass('history') IS NOT NULL AS is_noted;

-- name: read_history :one
-- Returns what the history has; one that says no days was filled before there was an archive.
SELECT
    rows, coalesce((to_jsonb(history) ->> 'days')::integer, 90) AS days,
    coalesce((to_jsonb(history) ->> 'hot_days')::integer, 90) AS hot_days
FROM history;

-- name: find_subjects :one
-- Returns ids for the pages of one event or payment: the middle of the history, a duplicate, and one in conflict.
SELECT
    (SELECT event_id FROM events WHERE namespace = 'stripe' AND event_id > 'evt_8' ORDER BY event_id LIMIT 1) AS event_id,
    (SELECT payment_id FROM payments WHERE namespace = 'stripe' AND payment_id > 'pi_8' ORDER BY payment_id LIMIT 1)
        AS payment_id,
    (SELECT namespace FROM payments WHERE payment_id = 'pi_large' ORDER BY namespace LIMIT 1) AS large_namespace,
    (SELECT namespace FROM conflicts WHERE kept IS NULL ORDER BY id LIMIT 1) AS conflict_namespace,
    (SELECT payment_id FROM conflicts WHERE kept IS NULL ORDER BY id LIMIT 1) AS conflict_payment,
    (SELECT event_id FROM conflicts WHERE kept IS NULL ORDER BY id LIMIT 1) AS conflict_event,
    (SELECT id FROM conflicts WHERE kept IS NULL ORDER BY id LIMIT 1) AS conflict,
    (SELECT max(id) FROM conflicts WHERE kept IS NULL) AS large_conflict,
    (SELECT max(id) FROM dead_letters WHERE state = 'open') AS dead_letter,
    (SELECT event_id FROM dead_letters WHERE state = 'open' ORDER BY id DESC LIMIT 1) AS dead_event;
