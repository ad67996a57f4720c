"""How completely a source's events have arrived, in words, for status and console."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from consumers.settings import Settings
from operations.completeness import Completeness, read_completeness, read_schedule
from operations.reconcile.store import Reconciliation
from tests.support.compared import was_compared, was_found
from tests.support.stream_states import say

NOW = datetime(2026, 11, 26, 14, 30, tzinfo=UTC)
TODAY, BEFORE = NOW - timedelta(minutes=25), NOW - timedelta(days=3)
HOUR = timedelta(hours=1)


def found(**values: object) -> Reconciliation:
    return Reconciliation(**{"complete_until": TODAY, "next_at": NOW + HOUR, **values})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("each", "sentence", "severity"),
    [
        (Completeness("a", HOUR, found()), "complete until 14:05", "good"),
        (Completeness("a", HOUR, found(open_missing=3)), "complete until 14:05, 3 missing", "alarm"),
        (
            Completeness("a", HOUR, found(open_extra=1200, open_different=1)),
            "complete until 14:05, 1,200 extra, 1 different", "warn",
        ),
        (Completeness("a", HOUR, found(complete_until=BEFORE)), "complete until 2026-11-23 14:30", "alarm"),
        (Completeness("a", None, found(complete_until=BEFORE)), "complete until 2026-11-23 14:30", "good"),
        (Completeness("a", HOUR, found(complete_until=None)), "not known to be complete", "alarm"),
        (
            Completeness("a", HOUR, found(failures=2, failure="it answered\x1b[31m 503")),
            "complete until 14:05, 2 comparisons failed: it answered\N{REPLACEMENT CHARACTER}[31m 503", "warn",
        ),
        (Completeness("a", HOUR, found(failures=1, failure="401", refused=True)),
         "complete until 14:05, 1 comparison failed: 401", "alarm"),
        (
            Completeness("a", HOUR, found(next_at=NOW - timedelta(minutes=5))),
            "complete until 14:05, no reconciler runs: its comparison is due", "warn",
        ),
        (Completeness("a", HOUR, found(next_at=NOW - timedelta(minutes=5), claimed_until=NOW + HOUR)),
         "complete until 14:05", "good"),
        (Completeness("a", HOUR, None), "never compared, no reconciler has compared it yet", "alarm"),
    ],
)  # fmt: skip
def test_a_source_is_one_sentence(each: Completeness, sentence: str, severity: str) -> None:
    assert (each.sentence(NOW), each.severity(NOW)) == (sentence, severity)


async def test_sources_are_those_of_the_file_and_those_that_were_compared(
    connection: asyncpg.Connection, tmp_path: Path
) -> None:
    file = tmp_path / "sources.toml"
    file.write_text('[b]\nreconcile_every = "15m"\n[a]\nreconcile_every = "1h"\n[c]\nprovider = "hmac"\n')
    await was_compared(connection, "b", until=TODAY)
    await was_compared(connection, "by_hand", until=TODAY)
    every = await read_completeness(connection, file)
    assert [(each.source, each.every, each.found is None) for each in every] == [
        ("a", HOUR, True), ("b", timedelta(minutes=15), False), ("by_hand", None, False),
    ]  # fmt: skip
    file.write_text("[b")
    assert read_schedule(file) == {}


async def test_status_has_a_line_for_each_source(
    connection: asyncpg.Connection, settings: Settings, tmp_path: Path
) -> None:
    file = tmp_path / "sources.toml"
    file.write_text('[stripe]\nreconcile_every = "1h"\n')
    with_sources = settings.model_copy(update={"sources_file": file})
    now = datetime.now(UTC)
    await was_compared(connection, until=now, next_at=now + HOUR)
    await was_found(connection, "evt_1")
    said = await say(with_sources, "status")
    assert "compared, stripe" in said.text
    assert f"complete until {now:%H:%M}, 1 missing" in said.text
    document = (await say(with_sources, "status", "--json")).json["postgres"]["compared"]
    assert document["stripe"]["every_s"] == 3600
    assert (document["stripe"]["open_missing"], document["stripe"]["failures"]) == (1, 0)
