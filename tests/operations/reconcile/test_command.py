"""`python -m operations reconcile`: its sentences, its exit codes, and what it may read."""

import io
import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from operations.cli import main as cli
from providers import apis
from tests.support.reconciling import EVENTS, NOW, Reconciler, operations_settings
from tests.support.stand_ins.listing import API_KEY, EventsApi
from tests.support.stand_ins.stand_in import status

SOURCES = """
[stripe]
provider = "stripe"
secrets = ["${STRIPE_WEBHOOK_SECRET}"]
api_key = "${STRIPE_API_KEY}"
api_url = "URL"

[closed]
provider = "svix"
secrets = ["x"]

[poor]
provider = "stripe"
secrets = ["x"]

[broken]
provider = "stripe"
api_key = "${NOT_SET}"
"""


class Operator:
    """Runs the command with a sources file and an environment."""

    def __init__(self, reconciler: Reconciler, folder: Path) -> None:
        self.reconciler = reconciler
        self.file = folder / "sources.toml"
        self.file.write_text(SOURCES.replace("URL", reconciler.listing.url))

    async def say(self, *argv: str, **settings: Any) -> tuple[int, str]:
        output = io.StringIO()
        arguments = cli.parse(["reconcile", *argv, "--actor", "ada"])
        own = operations_settings(self.reconciler.workers, sources_file=self.file, **settings)
        console = Console(file=output, width=300, markup=False, highlight=False, emoji=False)
        code = await cli.run(arguments, own, console, {"STRIPE_API_KEY": API_KEY})
        return code, output.getvalue()


@pytest.fixture
def operator(reconciler: Reconciler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Operator:
    monkeypatch.setitem(apis.APIS, "stripe", EventsApi)
    reconciler.listing.add(*EVENTS[:2])
    return Operator(reconciler, tmp_path)


async def test_what_is_missing_is_shown_and_added_where_asked_for(
    operator: Operator, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = await operator.say("stripe", "--since", "24h")
    assert code == 1
    assert "2 listed" in text
    assert "2 missing" in text
    assert "evt_0" in text
    assert "the provider lists it, and it never arrived" in text
    assert "`make reconcile SOURCE=stripe REPAIR=1` adds what is missing" in text
    assert (await operator.say("stripe", "--since", "24h", "--repair"))[0] == 1
    assert "Nothing was added: nothing that is listed was known here before" in capsys.readouterr().err
    code, text = await operator.say("stripe", "--since", "24h", "--repair", "--from-nothing")
    assert (code, "2 of them added to the stream" in text) == (0, True)
    await operator.reconciler.drain()
    code, text = await operator.say("stripe", "--since", (NOW.replace(hour=0)).isoformat())
    assert code == 0
    assert "Nothing that the provider lists from before" in text


async def test_the_document_has_the_numbers_and_what_differs(operator: Operator) -> None:
    code, text = await operator.say("stripe", "--since", "24h", "--json")
    document = json.loads(text)
    assert code == 1
    assert (document["counts"]["listed"], document["counts"]["missing"]) == (2, 2)
    assert {each["event_id"] for each in document["findings"]} == {"evt_0", "evt_1"}


@pytest.mark.parametrize(
    ("argv", "code", "sentence"),
    [
        (["nobody"], 2, "There is no source nobody in"),
        (["closed"], 2, "The provider of source closed cannot be asked"),
        (["poor"], 2, "Source poor has no api_key in"),
        (["broken"], 2, "[broken] api_key: environment variable NOT_SET is not set"),
        (
            ["stripe", "--since", "24h", "--until", "48h"],
            1,
            "stripe was not compared: it ends at",
        ),
    ],
)
async def test_what_cannot_be_compared_is_a_sentence(
    operator: Operator, capsys: pytest.CaptureFixture[str], argv: list[str], code: int, sentence: str
) -> None:
    assert (await operator.say(*argv))[0] == code
    assert sentence in capsys.readouterr().err


async def test_a_provider_that_does_not_answer_is_unreachable_and_no_secret_is_shown(
    operator: Operator, capsys: pytest.CaptureFixture[str]
) -> None:
    operator.file.write_text(SOURCES.replace("URL", "http://127.0.0.1:1"))
    code, text = await operator.say("stripe", "--since", "24h")
    error = capsys.readouterr().err
    assert code == 3
    assert "The provider cannot be asked now: GET 127.0.0.1/events failed" in error
    assert API_KEY not in text + error
    operator.file.write_text(SOURCES.replace("URL", operator.reconciler.listing.url))
    operator.reconciler.listing.mishaps.append(status(503, Retry_After="1800"))
    assert (await operator.say("stripe", "--since", "24h"))[0] == 3
    assert "answered 503. It asks to be left alone for 1800 s." in capsys.readouterr().err


async def test_what_is_accepted_is_named_and_nothing_else_is_done(
    operator: Operator, capsys: pytest.CaptureFixture[str]
) -> None:
    async def accept(*argv: str) -> int:
        arguments = cli.parse(["accept", "stripe", *argv, "--reason", "a test", "--actor", "ada"])
        return await cli.run(arguments, operations_settings(operator.reconciler.workers))

    await operator.say("stripe", "--since", "24h")
    assert [await accept(), await accept("evt_0", "--all"), await accept("evt_9")] == [2, 2, 1]
    assert "Source stripe has no open finding about evt_9. Nothing was done." in capsys.readouterr().err
    assert await accept("evt_0") == 0
    assert "Accepted by ada as number 1: missing evt_0." in capsys.readouterr().out
    assert [each.event_id for each in await operator.reconciler.findings()] == ["evt_1"]
    assert await accept("--all", "--json") == 0
    assert json.loads(capsys.readouterr().out)["accepted"] == [
        {"kind": "missing", "namespace": "stripe", "event_id": "evt_1"}
    ]


def test_ctrl_c_is_a_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "parse", stopped)
    monkeypatch.setattr(sys, "argv", ["operations", "reconcile", "stripe"])
    monkeypatch.delitem(sys.modules, "operations.__main__", raising=False)
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("operations", run_name="__main__")
    assert (ended.value.code, capsys.readouterr().err) == (130, "Stopped. What was done until then stays done.\n")


def test_a_time_is_a_duration_or_a_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        cli.parse(["reconcile", "x", "--since", "2026-11-26T12:00Z"]).since.isoformat() == "2026-11-26T12:00:00+00:00"
    )
    with pytest.raises(SystemExit) as raised:
        cli.parse(["reconcile", "x", "--since", "yesterday"])
    assert raised.value.code == 2
    assert "'yesterday' is neither a duration such as 24h nor a time" in capsys.readouterr().err
