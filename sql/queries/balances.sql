-- What the accounts of the ledger have in the end.

-- name: list_namespaces_with_money :many
-- Returns the namespaces that have transfers. Skips from one to the next in the primary key.
WITH RECURSIVE known AS (
    (SELECT namespace FROM transfers ORDER BY namespace LIMIT 1)
    UNION ALL
    SELECT (
        SELECT transfers.namespace FROM transfers
        WHERE transfers.namespace > known.namespace
        ORDER BY transfers.namespace LIMIT 1
    )
    FROM known
    WHERE known.namespace IS NOT NULL
)
SELECT namespace FROM known WHERE namespace IS NOT NULL LIMIT :limit;

-- name: estimate_transfers :one
-- Returns the estimated number of transfers, with archived ones, as of the last ANALYZE; null before the first one.
SELECT (nullif(late.reltuples, -1) + greatest(archived.reltuples, 0))::bigint AS transfers
FROM pg_class AS late, pg_class AS archived
WHERE late.oid = 'transfers'::regclass AND archived.oid = 'transfers_archive'::regclass;

-- name: is_more_transfers_than :one
-- Returns whether there are more transfers than this, in all namespaces. Reads at most one more.
SELECT count(*) > :transfers::bigint AS is_more
FROM (SELECT FROM transfers LIMIT :transfers::bigint + 1) AS first;

-- name: add_up_balances :many
-- Returns the balance of every account in a namespace. Reads all its transfers.
SELECT account, currency, debits, credits, balance
FROM balances
WHERE namespace = :namespace
ORDER BY currency, account
LIMIT :limit;
