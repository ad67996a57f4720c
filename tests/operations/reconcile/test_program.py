"""`python -m operations reconciler` as a program: it repairs what is missing, and ends when it is asked to."""

import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from consumers.settings import Settings
from operations.__main__ import main
from tests.support.consuming import Workers
from tests.support.events import contract_event, stripe_event
from tests.support.processes import Programs
from tests.support.stand_ins.stripe import KEY, StripeStandIn
from tests.support.wait import until

SOURCES = """
[stripe]
provider = "stripe"
secrets = ["whsec_x"]
mode = "test"
api_key = "${STRIPE_KEY}"
api_url = "URL"
reconcile_every = "1m"
reconcile_repair = true
"""
LISTED = 3
DELIVERED = contract_event("evt_0", "pi_0")
ACTS = "SELECT actor, touched FROM operations"
CLAIMS = "SELECT claimed_by IS NOT NULL FROM reconciliations"


@pytest.fixture
async def stripe() -> AsyncIterator[StripeStandIn]:
    stand_in = StripeStandIn()
    for number in range(LISTED):
        stand_in.add(stripe_event(f"evt_{number}", f"pi_{number}", created=int(time.time()) - 3600))
    async with stand_in.serving() as server:
        yield server


@pytest.fixture
def env(settings: Settings, stripe: StripeStandIn, tmp_path: Path) -> dict[str, str]:
    (tmp_path / "sources.toml").write_text(SOURCES.replace("URL", stripe.url))
    return {
        "REDIS_URL": settings.redis_url.get_secret_value(),
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "KEY_PREFIX": settings.key_prefix,
        "SOURCES_FILE": str(tmp_path / "sources.toml"),
        "STRIPE_KEY": KEY,
    }


async def test_it_repairs_after_a_kill_and_ends_at_once_when_asked_to(
    programs: Programs, env: dict[str, str], workers: Workers, stripe: StripeStandIn
) -> None:
    await workers.stream.publish(DELIVERED)
    stripe.gate.clear()
    first = programs.start("operations", env, ("reconciler",))
    await until(lambda: stripe.requests, what="the list is asked for")
    first.signal(signal.SIGKILL)
    first.wait()
    assert await workers.rows(CLAIMS) == [(True,)]
    await workers.connection.execute("UPDATE reconciliations SET claimed_until = now()")  # as it will be soon
    stripe.gate.set()
    second = programs.start("operations", env, ("reconciler",))

    async def has_repaired() -> bool:
        return await workers.rows(ACTS) == [("reconciler", LISTED - 1)]

    await until(has_repaired, what="what is missing is added")
    second.signal(signal.SIGTERM)
    assert second.wait() == 0
    assert len(await workers.stream.entries()) == LISTED
    assert await workers.rows(CLAIMS) == [(False,)]
    assert KEY not in first.log + second.log
    asked = len(stripe.requests)
    assert (await programs.run("operations", env, "reconciler", "--once"))[0] == 0, "nothing is due"
    assert len(stripe.requests) == asked


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("reconcile_every = \"1m\"\n", ""), "No source has reconcile_every"),
        (("${STRIPE_KEY}", "${NOT_SET}"), "environment variable NOT_SET is not set"),
        (("${STRIPE_KEY}", "sk_live_x"), "[stripe] api_key"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_sources_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], change: tuple[str, str],
    sentence: str,
) -> None:  # fmt: skip
    file = tmp_path / "sources.toml"
    file.write_text(SOURCES.replace("URL", "http://127.0.0.1:1").replace(*change))
    servers = {"REDIS_URL": "redis://127.0.0.1:1", "DATABASE_URL": "postgresql://127.0.0.1:1/x"}
    for name, value in ({"SOURCES_FILE": str(file), "STRIPE_KEY": KEY} | servers).items():
        monkeypatch.setenv(name, value)
    assert main(["reconciler", "--once"]) == 2
    assert sentence in capsys.readouterr().err
