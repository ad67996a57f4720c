"""The page of what is missing, and asking the reconciler for a comparison."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path

import asyncpg
import pytest

from consumers.settings import Settings
from tests.support.compared import was_compared, was_found
from tests.support.console import RunningConsole, running_console
from tests.support.hostile_texts import HOSTILE, assert_harmless

WHY = "a customer has paid, and nothing came"


@pytest.fixture
def with_sources(settings: Settings, tmp_path: Path) -> Settings:
    file = tmp_path / "sources.toml"
    file.write_text('[stripe]\nprovider = "stripe"\nreconcile_every = "1h"\n[plain]\nprovider = "hmac"\n')
    return settings.model_copy(update={"sources_file": file})


@pytest.fixture
async def console(with_sources: Settings) -> AsyncIterator[RunningConsole]:
    async with running_console(with_sources) as running:
        yield running


async def test_each_source_and_what_differs(console: RunningConsole, connection: asyncpg.Connection) -> None:
    page = await console.viewer.get("/reconciliation")
    assert "never compared" in page.text
    now = datetime.now(UTC)
    await was_compared(connection, until=now - timedelta(hours=2), next_at=now + timedelta(hours=1))
    await was_found(connection, "evt_missing", payment="pi_7")
    await was_found(connection, "evt_more", "different", difference="the amounts differ", recorded="1", listed="2")
    await was_found(connection, "evt_closed", resolved_at=now)
    page = await console.viewer.get("/reconciliation")
    assert page.status == 200
    text = unescape(page.text)
    for expected in (
        "2 h ago", "1 missing", "1 different", "7 listed, 1 missing", 'href="/events/stripe/evt_missing"',
        'href="/payments/stripe/pi_7"', "the amounts differ", "here: 1", "there: 2",
    ):  # fmt: skip
        assert expected in text
    assert "evt_closed" not in text
    assert "Compare and repair" not in text, "a viewer may not"
    assert "evt_closed" in (await console.viewer.get("/reconciliation", {"all": "1"})).text
    only = (await console.viewer.get("/reconciliation", {"source": "stripe", "kind": "different"})).text
    assert "evt_more" in only
    assert "evt_missing" not in only
    assert (await console.viewer.get("/reconciliation", {"kind": "odd"})).status == 400
    overview, sources = (await console.viewer.get("/")).text, (await console.viewer.get("/sources")).text
    for shown in (overview, sources):
        assert "1 missing, 1 different" in shown
        assert "/reconciliation?source=stripe" in shown
    event = unescape((await console.viewer.get("/events/stripe/evt_missing")).text)
    assert "the provider lists it; it never arrived" in event


@pytest.mark.parametrize("repair", [False, True])
async def test_an_operator_asks_for_a_comparison(
    console: RunningConsole, connection: asyncpg.Connection, repair: bool
) -> None:
    await was_compared(connection, until=datetime.now(UTC), next_at=datetime.now(UTC) + timedelta(hours=1))
    form = {"source": "stripe", "reason": WHY} | ({"repair": "yes"} if repair else {})
    assert (await console.viewer.post("/reconciliation", form)).status == 403
    assert (await console.operator.post("/reconciliation", form | {"reason": ""})).status == 400
    page = await console.operator.post("/reconciliation", form)
    assert page.status == 200
    assert ("adds what is missing to the stream" in page.text) == repair
    row = await connection.fetchrow(
        "SELECT next_at <= now() AS due, asked_by, asked_reason, asked_repair FROM reconciliations"
    )
    assert tuple(row or ()) == (True, "olga", WHY, repair)
    act = await connection.fetchrow("SELECT actor, face, action, subject, reason FROM operations")
    assert tuple(act or ()) == ("olga", "console", "reconcile", "source:stripe", WHY)
    assert f"asked by olga{', with repair' if repair else ''}" in (await console.viewer.get("/reconciliation")).text


async def test_what_nobody_can_do_is_refused(console: RunningConsole, connection: asyncpg.Connection) -> None:
    now = datetime.now(UTC)
    page = await console.operator.post("/reconciliation", {"source": "plain", "reason": WHY})
    assert page.status == 409
    assert "has no reconcile_every" in page.text
    await was_compared(connection, until=now)
    await connection.execute("UPDATE reconciliations SET claimed_by = 'a', claimed_until = now() + interval '1 minute'")
    page = await console.operator.post("/reconciliation", {"source": "stripe", "reason": WHY})
    assert page.status == 409
    assert "is compared now" in page.text
    assert await connection.fetchval("SELECT count(*) FROM operations") == 0
    assert "runs now" in (await console.operator.get("/reconciliation")).text


async def test_texts_of_providers_are_escaped(console: RunningConsole, connection: asyncpg.Connection) -> None:
    await was_compared(connection, until=datetime.now(UTC), outcome=HOSTILE)
    await was_found(
        connection, "evt_1", "different", payment=HOSTILE, difference=HOSTILE, recorded=HOSTILE, listed=HOSTILE
    )
    for path in ("/reconciliation", "/events/stripe/evt_1"):
        assert_harmless((await console.operator.get(path)).text)
