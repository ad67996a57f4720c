"""Ids with characters that cannot be seen: applied like any other, and shown as escapes."""

import json

import pytest

from operations.cli.main import parse, run
from operations.units import printable
from tests.support.asking_why import apply, only_event, succeeded
from tests.support.consuming import Workers

ODD = "order\u00a07 \U0001f468\u200d\U0001f469 \u202egnp.exe\u2028\ufeff\U000e0041"
SHOWN = r"order\u00a07 👨\u200d👩 \u202egnp.exe\u2028\ufeff\U000e0041"


async def test_an_event_with_such_ids_is_applied_and_shown_escaped(
    workers: Workers, capsys: pytest.CaptureFixture[str]
) -> None:
    await apply(workers, succeeded(f"evt {ODD}", resource=f"pi {ODD}"))
    assert await workers.dead() == []
    assert await workers.rows("SELECT event_id, resource FROM events") == [(f"evt {ODD}", f"pi {ODD}")]
    assert await workers.rows("SELECT payment_id, captured FROM payments") == [(f"pi {ODD}", 1999)]
    for asked in (["why", f"evt {ODD}"], ["status"], ["pending"], ["audit"]):
        assert await run(parse(asked), workers.settings) == 0
    said = capsys.readouterr().out
    assert SHOWN in said.replace("\n", "")
    assert all(char.isprintable() or char == "\n" for char in said)
    await run(parse(["why", f"evt {ODD}", "--json"]), workers.settings)
    assert only_event(json.loads(capsys.readouterr().out))["event_id"] == f"evt {ODD}"


def test_reasons_are_shown_escaped_too() -> None:
    assert printable("a\u202eb\x1b\x9b\u2028\nc") == "a\\u202eb\ufffd\ufffd\\u2028\nc"
