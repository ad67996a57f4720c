"""The reconciler of an embedded stack: `make up` runs it where a source wants it, and its failures are its own."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.checkout import Checkout
from tests.support.events import HMAC_SECRET, stripe_event
from tests.support.stand_ins.stripe import KEY, StripeStandIn
from tests.support.wait import until

SOURCES = f"""
[default]
provider = "hmac"
secrets = ["{HMAC_SECRET}"]

[listed]
provider = "stripe"
secrets = ["whsec_of_nobody"]
mode = "test"
api_key = "${{LISTED_KEY}}"
api_url = "URL"
reconcile_every = "1h"
"""
UNSCHEDULED = SOURCES.replace("reconcile_every", "# ")


@pytest.fixture
async def provider() -> AsyncIterator[StripeStandIn]:
    async with StripeStandIn().serving() as server:
        server.add(stripe_event("evt_lost", "pay-lost") | {"created": int(time.time()) - 1800})
        yield server


@pytest.fixture
async def checkout(tmp_path: Path, provider: StripeStandIn) -> AsyncIterator[Checkout]:
    file = tmp_path / "sources.toml"
    file.write_text(SOURCES.replace("URL", provider.url))
    stack = Checkout(tmp_path, {"SOURCES_FILE": str(file), "LISTED_KEY": KEY})
    yield stack
    await asyncio.to_thread(stack.run, "down")


def reconcilers(checkout: Checkout) -> list[int]:
    return [process.pid for process in checkout.running() if process.name == "reconciler"]


async def test_it_runs_is_replaced_and_fails_alone(checkout: Checkout, provider: StripeStandIn) -> None:
    said = await asyncio.to_thread(checkout.run, "check")
    assert "[listed] The API of stripe accepts the credentials" in said
    assert KEY not in said
    await asyncio.to_thread(checkout.run, "up")
    [first] = reconcilers(checkout)

    async def compared() -> bool:
        return "1 missing" in await asyncio.to_thread(checkout.run, "status")

    await until(compared, timeout_s=60, what="the source is compared")
    rest = checkout.processes()

    provider.keys = {"sk_test_new"}
    checkout.environ["LISTED_KEY"] = "sk_test_new"
    await asyncio.to_thread(checkout.run, "up")
    [second] = reconcilers(checkout)
    assert second != first
    assert checkout.processes() == rest, "nothing else is replaced"

    checkout.environ["LISTED_KEY"] = "sk_test_wrong"
    said = await asyncio.to_thread(checkout.run, "check", code=2)
    assert "[listed] api_key: GET 127.0.0.1/v1/" in said
    assert "answered 401: the credentials are wrong" in said
    assert "sk_test_wrong" not in said

    del checkout.environ["LISTED_KEY"]
    said = await asyncio.to_thread(checkout.run, "up")
    assert "The reconciler does not run; everything else does." in said
    assert "environment variable LISTED_KEY is not set" in said

    (checkout.folder / "sources.toml").write_text(UNSCHEDULED.replace("URL", provider.url))
    await asyncio.to_thread(checkout.run, "up")
    assert reconcilers(checkout) == []
