"""The daily step that archives: what was quiet for ARCHIVE_AFTER_DAYS, and nothing on the day after an upgrade."""

from redis.asyncio import Redis

from consumers.maintenance.archive import ARCHIVE
from consumers.maintenance.runner import Maintenance, Outcome
from consumers.settings import Settings
from sql.connect import connect
from tests.support.asking_why import apply, refund, succeeded
from tests.support.consuming import Workers
from tests.support.database import CONNECT_TIMEOUT_S

UPGRADED = "UPDATE archives SET made_at = now() - interval '2 days'"
OLD_EVENT = "UPDATE events SET committed_at = committed_at - interval '100 days' WHERE event_id = 'evt_1'"
OLD_PAYMENT = "UPDATE payments SET last_occurred_at = now() - interval '100 days' WHERE payment_id = 'pi_1'"
NO_TRIGGERS = "SET session_replication_role = replica"
OLD_TRANSFER = "UPDATE transfers SET booked_at = now() - interval '100 days' WHERE payment_id = 'pi_1'"


async def run(redis: Redis, settings: Settings) -> Outcome:
    async with connect(settings.database_url.get_secret_value(), timeout_s=CONNECT_TIMEOUT_S) as connection:
        outcome = await Maintenance(settings, redis).do(connection, ARCHIVE, at_once=True)
    assert outcome is not None
    assert not outcome.has_failed
    return outcome


async def test_the_daily_step_moves_what_is_old(workers: Workers, redis: Redis, settings: Settings) -> None:
    await apply(workers, succeeded("evt_1"), succeeded("evt_2", resource="pi_2"))
    assert "on the day after the upgrade" in (await run(redis, settings)).text
    await workers.connection.execute(UPGRADED)
    assert (await run(redis, settings)).rows == 0
    for statement in (OLD_EVENT, OLD_PAYMENT, NO_TRIGGERS, OLD_TRANSFER):
        await workers.connection.execute(statement)
    never = settings.model_copy(update={"archive_after_days": 0})
    assert (await run(redis, never)).text == "nothing is ever archived"
    outcome = await run(redis, settings)
    assert outcome.rows == 3
    assert outcome.text.startswith("moved 1 events, 1 payments and 1 transfers of before ")
    await workers.connection.execute("SET session_replication_role = origin")
    await apply(workers, succeeded("evt_1"), refund("evt_3"))
    assert await workers.rows("SELECT payment_id, status FROM ONLY payments ORDER BY 1") == [
        ("pi_1", "partially_refunded"), ("pi_2", "succeeded")
    ]  # fmt: skip
    await workers.assert_all_acked()
