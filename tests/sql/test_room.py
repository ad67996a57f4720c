"""What an event writes: a payment's row changes within its page."""

import asyncpg

PAYMENTS = """
INSERT INTO payments (namespace, payment_id, provider, currency, amount, asked)
SELECT 'stripe', 'pi_' || md5(n::text), 'stripe', 'EUR', 1999, '{"EUR": 1999}' FROM generate_series(1, 500) AS n
"""
LATER_EVENTS = "UPDATE payments SET refunds_made = refunds_made + 1, last_occurred_at = now()"
WITHIN_A_PAGE = "SELECT pg_stat_get_xact_tuples_hot_updated('payments'::regclass)"


async def test_later_events_of_payments_write_no_entry_to_the_key(connection: asyncpg.Connection) -> None:
    await connection.execute(PAYMENTS)
    for _ in range(3):
        async with connection.transaction():
            await connection.execute(LATER_EVENTS)
            assert await connection.fetchval(WITHIN_A_PAGE) >= 475
