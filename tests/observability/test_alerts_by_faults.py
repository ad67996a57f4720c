"""Each alert is seen to fire and to clear by a real fault, which is made and undone: no series is invented.

One system for all: real Valkey and PostgreSQL, gateway and worker, a little traffic, and a Prometheus that scrapes both
every half second and evaluates the real rules, with shorter durations (tests.support.short_rules). The tests run in
this order, and each leaves the system as it should be. What a runbook says to run is run while the fault is there.
"""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.alarms import Alarms, alarms, of_source
from tests.support.events import Signed
from tests.support.gateway_with_a_bug import HITS
from tests.support.tls import write_certificate

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
