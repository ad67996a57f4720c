"""Each alert is seen to fire and to clear by a real fault, which is made and undone: no series is invented.

One system for all: real Valkey and PostgreSQL, gateway and worker, a little traffic, and a Prometheus that scrapes both
every half second and evaluates the real rules, with shorter durations (tests.support.short_rules). The tests run in
this order, and each leaves the system as it should be. What a runbook says to run is run while the fault is there.
"""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import aiohttp
import pytest
import pytest_asyncio

from contract.keys import GROUP
from tests.support import worker_that_asks_soon
from tests.support.alarms import BACKLOG_LIMIT, Alarms, alarms
from tests.support.events import Signed, signed_stripe, stripe_event, thin_stripe_event
from tests.support.gateway_with_a_bug import HITS
from tests.support.observability import alerts
from tests.support.stand_ins.stand_in import status
from tests.support.stand_ins.stripe import KEY, StripeStandIn
from tests.support.stream_states import say
from tests.support.tls import write_certificate
from tests.support.traffic import SOURCES, of_source, order_of_mercado_pago
from tests.support.wait import until

WHY = ("--reason=the fault was made by a test",)
REJECTED = 15
BLOCKED = "a handler blocks this worker's event loop"
DELETED = 50
OLD_MONTH = "CREATE TABLE payloads_2020_01 PARTITION OF payloads FOR VALUES FROM ('2020-01-01Z') TO ('2020-02-01Z')"
OLD_PAYLOAD = "INSERT INTO payloads VALUES ('stripe', 'evt_of_2020', '2020-01-02Z', '{}', '')"

LOST_S_AGO = 600
LISTED = """
[listed]
provider = "stripe"
secrets = ["whsec_of_nobody"]
mode = "test"
api_key = "{key}"
api_url = "{url}"
reconcile_every = "1h"
"""

ASKED = """[stripe]
mode = "test"
events = "thin"
confirm = "api"
api_key = "{key}"
api_url = "{url}"
"""
OUTAGE = [status(503)] * 1000
NO_ANSWER = "an API does not answer"
NOT_CONFIRMED = "a provider's API does not confirm an event"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Alarms]:
    async with alarms(tmp_path_factory.mktemp("alarms")) as running:
        yield running


async def test_no_audit_until_there_is_one(system: Alarms) -> None:
    await system.fires("WebhookWatchdog", "WebhookAuditOverdue")
    await system.say("audit")
    await system.clears("WebhookAuditOverdue")


async def test_the_gateway_is_down_and_comes_back_with_an_old_certificate_and_a_bug(system: Alarms) -> None:
    system.gateway.kill()
    await system.fires("WebhookGatewayMetricsMissing")
    await system.start_gateway(module="tests.support.gateway_with_a_bug")
    await system.gateway.ready()
    await system.clears("WebhookGatewayMetricsMissing")
    await system.send(of_source("default", HITS.decode()), status=503)
    await system.fires("WebhookInternalErrors")
    await system.gateway.stopped()
    await system.start_gateway(write_certificate(system.folder))
    await system.fires("WebhookCertificateExpires")
    await system.gateway.stopped()
    await system.start_gateway()
    await system.clears("WebhookCertificateExpires", "WebhookInternalErrors")


async def test_no_worker_is_left(system: Alarms) -> None:
    system.worker.kill()
    await system.fires("WebhookWorkerMetricsMissing")
    system.worker = system.start_worker()
    await system.clears("WebhookWorkerMetricsMissing")


async def test_redis_is_stopped(system: Alarms) -> None:
    system.valkey.stop()
    await system.fires(
        "WebhookRedisDown", "WebhookNotDurable", "WebhookInfrastructureFailures", "WebhookAcceptBudgetBurnsFast",
        "WebhookAcceptBudgetBurnsSlowly",
    )  # fmt: skip
    await system.valkey.restart()
    await system.clears(
        "WebhookRedisDown", "WebhookNotDurable", "WebhookInfrastructureFailures", "WebhookAcceptBudgetBurnsFast",
        "WebhookAcceptBudgetBurnsSlowly",
    )  # fmt: skip


async def test_redis_writes_nothing_down(system: Alarms) -> None:
    async with system.redis() as redis:
        await redis.config_set("appendonly", "no")
        await system.fires("WebhookNotDurable")
        assert "appendonly" in await system.readyz()
        await redis.config_set("appendonly", "yes")
    await system.clears("WebhookNotDurable")


async def test_strangers_send_requests_that_they_cannot_sign(system: Alarms) -> None:
    def forged(number: int) -> Signed:
        genuine = of_source("strangers", f"pay-{number}")
        return Signed(genuine.path, genuine.body, {**genuine.headers, "X-Signature": "0" * 64}, genuine.event_id)

    system.traffic.also = forged
    await system.fires("WebhookSignaturesRefused")
    system.traffic.also = None
    await system.clears("WebhookSignaturesRefused")


async def test_events_that_no_handler_takes_contradictions_and_what_is_not_signed(system: Alarms) -> None:
    await system.send(
        *(of_source("default", f"reject-{number}") for number in range(REJECTED)),
        *(signed_stripe(stripe_event(f"evt_{amount}", "pay-twice", amount=amount)) for amount in (700, 800)),
        order_of_mercado_pago(),
    )
    names = ("WebhookDeadLettersRising", "WebhookDeadLettersOpen", "WebhookConflictsOpen", "WebhookFactsOnHold")
    await system.fires(*names)
    assert (await system.say("dead", "--json")).json["open"] == REJECTED
    assert "800" in (await system.say("conflicts")).text
    assert "pay-twice" in (await system.say("why", "pay-twice")).text
    assert (await system.say("status", "--json")).json["postgres"]["held_back"]["unsigned"]
    await system.say("discard", "--query=status:dead", "--yes", *WHY)
    await system.say("resolve", "pay-twice", "--keep=booked", *WHY)
    system.settings.sources_file.write_text(SOURCES.replace("[mercado]", '[mercado]\ntrust = "all"'))
    await system.say("release", "mercado", *WHY)
    await system.clears(*names)


async def test_handlers_block_and_are_slow_and_a_source_is_silent(system: Alarms) -> None:
    system.traffic.silent = {"quiet"}
    system.traffic.also = lambda number: of_source("default", f"slow-{number}")
    await system.send(of_source("default", "block-1"))
    await until(lambda: BLOCKED in system.worker.log, what="the worker says what its runbook promises")
    await system.fires("WebhookHandlerBlocked", "WebhookHandlerSlow")
    await system.gateway.stopped()  # the next one knows nothing of the source that is silent
    await system.start_gateway()
    await system.gateway.ready()
    await system.fires("WebhookSourceSilent")
    system.traffic.silent, system.traffic.also = set(), None
    await system.clears("WebhookHandlerBlocked", "WebhookHandlerSlow", "WebhookSourceSilent")


async def test_postgres_is_stopped_until_the_backlog_is_full_and_somebody_deletes_from_it(system: Alarms) -> None:
    system.postgres.kill()
    await system.flood(BACKLOG_LIMIT)
    names = ("WebhookPostgresDown", "WebhookBacklogGrowing", "WebhookBacklogFull", "WebhookOldestEntryOld",
             "WebhookInfrastructureFailures")  # fmt: skip
    await system.fires(*names)
    pending = (await system.say("pending", "--json")).json
    assert "refused" in str(pending), pending
    async with system.redis() as redis:
        newest = cast("list[tuple[bytes, object]]", await redis.xrevrange(system.keys.events, count=DELETED))
        await redis.xdel(system.keys.events, *(entry_id for entry_id, _ in newest))
    await system.postgres.restart()
    late = ("WebhookCommitBudgetBurnsFast", "WebhookCommitBudgetBurnsSlowly", "WebhookEntriesGone")
    await system.fires(*late)
    assert "missing" in (await system.say("audit", code=1)).text
    await system.clears(*names, *late)


async def test_somebody_destroys_the_group(system: Alarms) -> None:
    async with system.redis() as redis:
        await redis.xgroup_destroy(system.keys.events, GROUP)
    await system.fires("WebhookGroupRecreated")
    await system.clears("WebhookGroupRecreated")


async def test_a_worker_is_frozen_with_an_entry_that_the_other_one_has_no_room_for(system: Alarms) -> None:
    hanging = await system.accepted(of_source("default", "hang-1"))
    async with system.redis() as redis:

        async def is_pending() -> bool:
            return bool(await redis.xpending_range(system.keys.events, GROUP, hanging, hanging, 1))

        await until(is_pending, what="the worker has read it")
    system.worker.pause()
    await system.accepted(of_source("default", "for-its-open-read"))  # which Redis answers, frozen or not
    await system.send(of_source("default", "fail-1"))
    other = system.start_worker({
        "PARKED_MAX": "1", "RETRY_DELAY_MS": "120000", "RETRY_DELAY_MAX_MS": "120000", "CLAIM_IDLE_MS": "5000",
    })  # fmt: skip
    await system.fires("WebhookWorkerStuck", "WebhookOldestPendingIdle")
    assert hanging in (await system.say("pending")).text
    other.kill()
    system.worker.resume()
    await system.clears("WebhookWorkerStuck", "WebhookOldestPendingIdle")


async def test_redis_is_restored_from_an_older_copy(system: Alarms, tmp_path: Path) -> None:
    await system.valkey.back_up(tmp_path / "copy")
    await system.applies_more(20)
    await system.valkey.restore(tmp_path / "copy")
    await system.fires("WebhookRestoreNotAcknowledged")
    await system.say("audit", code=1)
    await system.fires("WebhookAuditFoundErrors")
    await system.say("acknowledge", *WHY)
    await system.say("audit")
    await system.clears("WebhookRestoreNotAcknowledged", "WebhookAuditFoundErrors")


async def test_no_reconciler_runs_and_then_an_event_turns_out_to_be_missing(system: Alarms) -> None:
    async with StripeStandIn().serving() as provider:
        provider.add(stripe_event("evt_lost", "pay-lost") | {"created": int(time.time()) - LOST_S_AGO})
        with system.settings.sources_file.open("a") as file:
            file.write(LISTED.format(key=KEY, url=provider.url))
        before, system.worker = system.worker, system.start_worker()
        before.kill()
        await system.fires("WebhookReconcileBehind")
        await system.say("reconcile", "listed", "--since=2h", code=1)
        await system.fires("WebhookEventsMissing")
        await system.clears("WebhookReconcileBehind")
        assert "1 missing" in (await system.say("status")).text
        assert "it never arrived" in (await system.say("why", "evt_lost")).text
        await system.say("reconcile", "listed", "--since=2h", "--repair", "--from-nothing", *WHY)  # none was delivered
        await system.clears("WebhookEventsMissing")


async def test_an_api_that_is_to_confirm_does_not_answer_and_then_does_not_know_what_was_sent(system: Alarms) -> None:
    async with StripeStandIn().serving() as provider:
        asked = ASKED.format(key=KEY, url=provider.url)
        sources = system.settings.sources_file
        sources.write_text(sources.read_text().replace("[stripe]\n", asked))
        provider.objects["/v1/payment_intents/pay-asked"] = stripe_event("evt_asked", "pay-asked")["data"]["object"]
        provider.mishaps.extend(OUTAGE)
        before = system.worker
        system.worker = system.start_worker({"CONFIRM_NOT_FOUND_S": "0"}, module=worker_that_asks_soon.__name__)
        before.kill()
        thin = (thin_stripe_event(f"evt_{payment}", payment) for payment in ("pay-asked", "pay-forged"))
        await system.send(*map(signed_stripe, thin))
        await system.fires("WebhookConfirmationOverdue")
        await until(lambda: NO_ANSWER in system.worker.log, what="the worker says what its runbook promises")
        assert "it has not answered yet" in (await system.say("why", "evt_pay-asked")).text
        provider.mishaps.clear()
        await system.fires("WebhookEventsNotConfirmed")
        assert NOT_CONFIRMED in system.worker.log
        assert "the API knows no such object" in (await system.say("why", "evt_pay-forged")).text

        async def is_booked() -> bool:
            return "19.99 EUR, which is booked" in (await system.say("why", "evt_pay-asked")).text

        await until(is_booked, what="what the API knows is booked")
        await system.clears("WebhookConfirmationOverdue", "WebhookEventsNotConfirmed")


async def test_the_daily_maintenance_was_not_done_and_payloads_are_too_old(system: Alarms) -> None:
    await system.say("retain")
    async with system.database() as connection:
        await connection.execute("UPDATE maintenance SET succeeded_at = now() - interval '49 hours'")
        await system.fires("WebhookMaintenanceOverdue")
        await system.say("retain")
        await system.clears("WebhookMaintenanceOverdue")
        await connection.execute(OLD_MONTH)
        await connection.execute(OLD_PAYLOAD)
    other = system.start_worker({"PAYLOADS_KEPT_DAYS": "1"})
    await system.fires("WebhookPayloadsKeptTooLong")
    said = await say(system.settings.model_copy(update={"payloads_kept_days": 1}), "retain")
    assert "dropped payloads_2020_01" in said.text
    await system.clears("WebhookPayloadsKeptTooLong")
    other.kill()


async def test_the_watchdog_is_silent_only_while_prometheus_is_down(system: Alarms) -> None:
    """It never clears, it is a heartbeat: what rings is its absence, at a service that waits for it."""
    await system.fires("WebhookWatchdog")
    system.prometheus.process.kill()
    with pytest.raises(aiohttp.ClientError):
        await system.prometheus.firing()
    system.prometheus.launch()
    await until(system.prometheus.is_up, what="Prometheus is back")
    await system.fires("WebhookWatchdog")


async def test_every_alert_has_been_seen_and_none_is_left(system: Alarms) -> None:
    assert system.fired == set(alerts())
    assert system.cleared == set(alerts()) - {"WebhookWatchdog"}
    await system.say("discard", "--query=status:dead", "--yes", *WHY)
    await system.is_calm()
