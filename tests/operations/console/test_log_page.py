"""The operators' log, and the audit, in the console."""

import asyncio

import asyncpg
import pytest

from operations.console.pages import audit, log
from operations.log import Act, Action, record
from tests.support.console import RunningConsole
from tests.support.events import contract_event
from tests.support.hostile_texts import HOSTILE, assert_harmless
from tests.support.stream_states import Stream


async def add(connection: asyncpg.Connection, actor: str, action: Action = "replay", reason: str = "why") -> None:
    async with connection.transaction():
        await record(
            connection, Act(actor, reason, "console"), action=action, subject=f"dead_letter:{reason}", touched=1,
            details={"event": reason},
        )  # fmt: skip


async def test_the_log_is_shown_newest_first_in_pages_and_filtered(
    console: RunningConsole, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Nobody has done anything yet." in (await console.viewer.get("/operations")).text
    acts: list[tuple[str, Action]] = [("olga", "replay"), ("mona", "resolve"), ("olga", "discard")]
    for number, (actor, action) in enumerate(acts, 1):
        await add(connection, actor, action, f"because-{number}")
    page = await console.viewer.get("/operations")
    assert page.text.index("because-3") < page.text.index("because-2") < page.text.index("because-1")
    assert "3 acts are recorded" in page.text
    by_olga = await console.viewer.get("/operations", {"actor": "olga", "action": "discard"})
    assert "because-3" in by_olga.text
    assert "because-2" not in by_olga.text
    assert "because-1" not in by_olga.text
    assert "<option>discard by query</option>" in page.text
    assert "<option selected>discard</option>" in by_olga.text
    monkeypatch.setattr(log, "OPERATIONS_PER_PAGE", 2)
    assert "before=2" in (await console.viewer.get("/operations")).text
    older = await console.viewer.get("/operations", {"before": "2"})
    assert "because-1" in older.text
    assert "because-2" not in older.text
    assert (await console.viewer.get("/operations", {"before": "x"})).status == 400


async def test_an_act_leads_to_what_it_was_about_and_is_found_by_it(
    console: RunningConsole, connection: asyncpg.Connection
) -> None:
    acts: list[tuple[str, dict[str, object]]] = [
        ("dead_letter:7", {"event": "acme/evt_1"}),
        ("payment:acme/pi_1", {"conflicts": [3]}),
        ("source:a b", {}),
    ]
    for subject, details in acts:
        async with connection.transaction():
            act = Act("mona", "why", "console")
            await record(connection, act, action="replay", subject=subject, touched=1, details=details)
    page = (await console.viewer.get("/operations", {"actor": "mo"})).text
    for address in ("/dead/7", "/events/acme/evt_1", "/payments/acme/pi_1", "/conflicts/3", "source%3A%22a+b%22"):
        assert address in page, address
    about = (await console.viewer.get("/operations", {"about": "evt_1"})).text
    assert "/events/acme/evt_1" in about
    assert "/payments/acme/pi_1" not in about
    assert "No act matches." in (await console.viewer.get("/operations", {"actor": "ona"})).text


async def test_a_viewer_sees_no_personal_data_in_reasons_and_details(
    console: RunningConsole, connection: asyncpg.Connection
) -> None:
    await add(connection, "olga", reason="asked by ada@example.org")
    assert "ada@example.org" in (await console.operator.get("/operations")).text
    seen_by_a_viewer = (await console.viewer.get("/operations")).text
    assert "asked by" in seen_by_a_viewer
    assert seen_by_a_viewer.count("ada@example.org") == 1, "the subject is an id"


async def test_the_chain_is_checked_when_somebody_asks(console: RunningConsole, connection: asyncpg.Connection) -> None:
    await add(connection, "olga")
    await add(connection, "mona")
    assert "All 2 rows follow each other" in (await console.viewer.post("/operations/check")).text
    await connection.execute("ALTER TABLE operations DISABLE TRIGGER ALL")
    await connection.execute("UPDATE operations SET actor = $1 WHERE id = 1", HOSTILE)
    page = await console.viewer.post("/operations/check")
    assert "its content was changed" in page.text
    assert_harmless(page.text)


async def test_an_operator_runs_the_audit_and_acknowledges(
    console: RunningConsole, connection: asyncpg.Connection, stream: Stream
) -> None:
    assert "Somebody with the role operator runs it." in (await console.viewer.get("/audit")).text
    assert "rules hold" in (await console.operator.post("/audit")).text
    await stream.publish(contract_event())
    await stream.read("worker-1")
    await stream.drop(stream.ids[0])
    page = await console.operator.post("/audit")
    assert "entries_do_not_add_up" in page.text
    assert "Acknowledge what is missing" in page.text
    assert (await console.operator.post("/audit/acknowledge")).status == 400
    done = await console.operator.post("/audit/acknowledge", {"reason": "a drill"})
    assert "the audit shows later losses only" in done.text
    assert await connection.fetchval("SELECT actor FROM operations") == "olga"


async def test_a_viewer_may_neither_audit_nor_acknowledge(console: RunningConsole) -> None:
    for path in ("/audit", "/audit/acknowledge"):
        assert (await console.viewer.post(path, {"reason": "x"})).status == 403


async def test_the_last_audit_is_shown_before_another_one(console: RunningConsole) -> None:
    assert "No audit has ended yet." in (await console.viewer.get("/audit")).text
    await console.operator.post("/audit")
    assert "no rule was broken" in (await console.viewer.get("/audit")).text


async def test_an_audit_has_a_limit_of_time_and_runs_alone(
    console: RunningConsole, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "TIMEOUT_S", 0.1)
    async with connection.transaction():
        await connection.execute("LOCK TABLE events")
        first = asyncio.create_task(console.operator.post("/audit"))
        page = await first
    assert page.status == 503
    assert "ended after 0.1 s" in page.text
    async with console.site.auditing:
        assert (await console.operator.post("/audit")).status == 409


async def test_what_senders_write_is_escaped_in_an_audit(
    console: RunningConsole, connection: asyncpg.Connection
) -> None:
    await connection.execute(PAYLOAD_OF_NOTHING, HOSTILE)
    assert_harmless((await console.operator.post("/audit")).text)
    await add(connection, HOSTILE, reason=HOSTILE)
    assert_harmless((await console.viewer.get("/operations", {"actor": HOSTILE})).text)


PAYLOAD_OF_NOTHING = """
INSERT INTO payloads (namespace, event_id, received_at, headers, body) VALUES ('acme', $1, now(), '{}', '')
"""
