"""`erase` removes one payer's personal data and keeps the books; what is not applied yet is refused."""

from typing import Any

import pytest

from operations.cli.command import EXIT_WRONG
from operations.log import list_operations
from sql.connect import connect
from tests.support.asking_why import ask_why
from tests.support.consuming import Workers
from tests.support.database import CONNECT_TIMEOUT_S
from tests.support.events import contract_event
from tests.support.operator_commands import captured, refunded
from tests.support.stream_states import Said, say

PAYLOADS = "SELECT event_id FROM payloads ORDER BY event_id"
LETTERS = "SELECT reason, traceback, field_names, field_values, state FROM dead_letters ORDER BY id"
WHY = ("--reason", "asked by the payer", "--actor", "ada")


async def erase(workers: Workers, *argv: str) -> Said:
    return await say(workers.settings, "erase", *argv, *WHY)


async def apply(workers: Workers, *events: Any) -> None:
    for event in events:
        await workers.stream.publish(event)
    async with workers.working():
        await workers.drained()


async def books(workers: Workers) -> list[Any]:
    queries = ("SELECT * FROM events", "SELECT * FROM payments", "SELECT * FROM transfers ORDER BY movement")
    return [await workers.rows(query) for query in queries]


async def test_a_payments_payloads_go_and_its_books_stay(workers: Workers) -> None:
    await apply(workers, captured(1000, "evt_1"), refunded(300, "evt_2"), captured(500, "evt_3", "pi_other"))
    before = await books(workers)
    counted = await erase(workers, "--payment", "pi_1")
    assert counted.code == 0
    assert "would erase the payloads of 2 events and 0 dead letters of payment stripe/pi_1" in counted.text
    assert await workers.rows(PAYLOADS) == [("evt_1",), ("evt_2",), ("evt_3",)]
    done = await erase(workers, "--payment", "stripe/pi_1", "--yes")
    assert (done.code, await workers.rows(PAYLOADS)) == (0, [("evt_3",)])
    assert await books(workers) == before
    assert await workers.findings() == []
    (operation,) = await list_operations(workers.connection, before=None, limit=9)
    assert (operation.actor, operation.action, operation.subject) == ("ada", "erase", "payment:stripe/pi_1")
    assert operation.details == {"payloads": 2, "dead_letters": [], "events": ["stripe/evt_1", "stripe/evt_2"]}
    again = await erase(workers, "--payment", "pi_1", "--yes")
    assert "Nothing of payment stripe/pi_1 is kept" in again.text
    assert len(await list_operations(workers.connection, before=None, limit=9)) == 1


async def test_why_says_what_was_erased_by_whom_and_why(workers: Workers) -> None:
    await apply(workers, captured(1000, "evt_1"), refunded(300, "evt_2"))
    await erase(workers, "--event", "evt_1", "--yes")
    await erase(workers, "--payment", "pi_1", "--yes")
    document = await ask_why(workers.settings, "pi_1")
    erased = [entry for entry in document["timeline"] if entry["what"] == "erased"]
    certain, uncertain = "its body and headers", "its body and headers, if they were still kept"
    assert [(entry["event"], entry["text"].partition(", by ada")[0]) for entry in erased] == [
        ("stripe/evt_1", certain), ("stripe/evt_1", uncertain), ("stripe/evt_2", uncertain)
    ]  # fmt: skip
    assert {(entry["actor"], entry["reason"], entry["face"]) for entry in erased} == {
        ("ada", "asked by the payer", "command")
    }
    assert {event["facts_problem"] for event in document["events"]} == {"its bytes were erased"}


async def test_a_duplicate_after_it_brings_nothing_back(workers: Workers) -> None:
    await apply(workers, captured(1000, "evt_1"))
    await erase(workers, "--event", "evt_1", "--yes")
    await apply(workers, captured(1000, "evt_1"))
    assert await workers.rows(PAYLOADS) == []
    await workers.assert_all_acked()
    assert (await say(workers.settings, "why", "evt_1")).code == 0


async def test_a_closed_dead_letter_is_erased_and_an_open_one_refused(workers: Workers) -> None:
    await workers.stream.publish(contract_event("evt_1", "pi_1"))
    (entry,) = await workers.stream.read("worker-1")
    number = await workers.stream.dead_letter(workers.connection, entry, "Reject: Ada Lovelace has no account")
    refused = await erase(workers, "--payment", "pi_1", "--yes")
    assert refused.code == EXIT_WRONG
    assert (await workers.rows(LETTERS))[0][0] == "Reject: Ada Lovelace has no account"
    assert (await say(workers.settings, "discard", str(number), *WHY)).code == 0
    assert (await erase(workers, "--payment", "pi_1", "--yes")).code == 0
    assert await workers.rows(LETTERS) == [("(erased)", "", [], [], "discarded")]
    log = await list_operations(workers.connection, before=None, limit=9)
    assert [operation.action for operation in log] == ["erase", "discard"]
    assert "Lovelace" not in str(log)
    (erased,) = [entry for entry in (await ask_why(workers.settings, "evt_1"))["timeline"] if entry["what"] == "erased"]
    assert erased["text"] == f"what dead letter {number} had, by ada: asked by the payer"


async def test_what_waits_in_the_stream_is_refused(workers: Workers, capsys: pytest.CaptureFixture[str]) -> None:
    await apply(workers, captured(1000, "evt_1"))
    entry_id = await workers.stream.publish(refunded(300, "evt_2"))
    refused = await erase(workers, "--payment", "pi_1", "--yes")
    assert refused.code == EXIT_WRONG
    assert f"Entry {entry_id} of it is still in the stream" in capsys.readouterr().err
    assert await workers.rows(PAYLOADS) == [("evt_1",)]
    assert (await erase(workers, "--event", "evt_2")).code == EXIT_WRONG
    async with workers.working():
        await workers.drained()
    assert (await erase(workers, "--payment", "pi_1", "--yes")).code == 0
    assert await workers.rows(PAYLOADS) == []


async def test_a_payload_that_a_decision_needs_is_refused(workers: Workers, capsys: pytest.CaptureFixture[str]) -> None:
    await apply(workers, captured(1000, "evt_1"))
    await workers.connection.execute(
        "INSERT INTO held_back (namespace, event_id, payment_id, source, reason, kind, object, amount, currency) "
        "VALUES ('stripe', 'evt_1', 'pi_1', 'stripe', 'unsigned', 'captured', 'o', 1, 'EUR')"
    )
    assert (await erase(workers, "--event", "evt_1", "--yes")).code == EXIT_WRONG
    assert "has facts on hold" in capsys.readouterr().err
    async with connect(workers.settings.database_url.get_secret_value(), timeout_s=CONNECT_TIMEOUT_S) as worker:
        with pytest.raises(Exception, match="its payload is read again"):
            await worker.execute("SELECT erase_payloads(ARRAY['stripe'], ARRAY['evt_1'])")
    assert await workers.rows(PAYLOADS) == [("evt_1",)]


async def test_an_id_of_several_namespaces_is_named_with_one(
    workers: Workers, capsys: pytest.CaptureFixture[str]
) -> None:
    await apply(workers, captured(1, "evt_1"), captured(1, "evt_1", "pi_1", namespace="acme"))
    assert (await erase(workers, "--payment", "pi_1")).code == EXIT_WRONG
    assert "name one: acme/pi_1, stripe/pi_1" in capsys.readouterr().err
    assert (await erase(workers, "--payment", "acme/pi_1", "--yes")).code == 0
    assert await workers.rows("SELECT namespace FROM payloads") == [("stripe",)]
    assert (await erase(workers, "--event", "nothing")).code == EXIT_WRONG
