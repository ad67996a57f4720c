"""Deliveries that are lost on purpose: the provider's list still has their events, and `make reconcile` finds them."""

import asyncio
import json
import random
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from providers.stripe.facts import TYPES
from stack.base import StackError
from stack.demo.check import Source
from stack.demo.event_list import serving_events
from stack.demo.samples import Sample

SOURCE = "stripe"
"""The source whose deliveries are lost. The other one's provider has no list."""

LOST_PART = 3
"""One event of this many is lost."""

AGE_S_MIN, AGE_S_MAX = 3600, 6 * 86_400
"""How long ago the events happened: long enough not to be on their way, and at a time that no other run chose."""

LENGTH_S = 60
"""How long they took."""

COMMAND_TIMEOUT_S = 120

FOUND_NOTHING, FOUND_SOMETHING = 0, 1
"""The exit codes of a comparison that was made."""


@dataclass(frozen=True, slots=True)
class Gaps:
    """What is lost, and the time in which it happened, in Unix seconds."""

    at_s: int
    listed: Sequence[Sample]
    lost: Sequence[Sample] = field(repr=False)

    def kept(self, events: Sequence[Sample]) -> list[Sample]:
        """Return the events that are delivered."""
        lost = {event.event_id for event in self.lost}
        return [event for event in events if event.event_id not in lost]


@dataclass(frozen=True, slots=True)
class Found:
    """What the comparisons found: missing before the repair, added by it, and missing after it.

    `shown` is what `make status` said was missing before the repair: of the source, so of other times as well.
    """

    lost: int
    missing: int
    shown: int
    repaired: int
    missing_after: int

    @property
    def is_as_expected(self) -> bool:
        """Whether exactly what was lost was missing, and nothing is missing any more."""
        return self.missing == self.repaired == self.lost <= self.shown and not self.missing_after


def choose_time(chance: random.Random) -> int:
    """Return when the events happened."""
    return int(time.time()) - chance.randrange(AGE_S_MIN, AGE_S_MAX)


def choose_lost(events: Sequence[Sample], at_s: int, chance: random.Random) -> Gaps:
    """Return a third of the events of the source, of those whose type reports money: no other is compared."""
    of_source = [event for event in events if event.source == SOURCE]
    comparable = [event for event in of_source if json.loads(event.body)["type"] in TYPES]
    return Gaps(at_s, of_source, chance.sample(comparable, len(events) // LOST_PART))


@asynccontextmanager
async def listing(gaps: Gaps, source: Source, environment: Mapping[str, str]) -> AsyncIterator[Mapping[str, str]]:
    """List all events, also those that are lost. Yield the environment of a command that compares with this list."""
    key = f"rk_{source.rules.mode}_demonstration"
    sources_file = Path(environment["DATA_DIR"]) / "demo-sources.toml"
    async with serving_events([event.body for event in gaps.listed], key) as url:
        table = {"provider": source.provider, "namespace": source.namespace, "mode": source.rules.mode,
                 "api_key": key, "api_url": url}  # fmt: skip
        lines = [f"[{SOURCE}]", *(f"{name} = {json.dumps(value)}" for name, value in table.items())]
        sources_file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        try:
            yield {**environment, "SOURCES_FILE": str(sources_file)}
        finally:
            sources_file.unlink()


async def compare(gaps: Gaps, environment: Mapping[str, str], *, repair: bool) -> dict[str, int]:
    """Run `make reconcile` for the time of the events. Return its counts. Raise StackError."""
    arguments = ["reconcile", SOURCE, "--since", _iso(gaps.at_s), "--until", _iso(gaps.at_s + LENGTH_S),
                 "--reason", "make demo", "--json", *(["--repair"] if repair else [])]  # fmt: skip
    counts: dict[str, int] = (await _operations(arguments, environment))["counts"]
    return counts


async def shown_missing(environment: Mapping[str, str]) -> int:
    """Return how many events of the source are missing, as `make status` shows it. Raise StackError."""
    status = await _operations(["status", "--json"], environment)
    return int(status["postgres"]["compared"][SOURCE]["open_missing"])


async def _operations(arguments: Sequence[str], environment: Mapping[str, str]) -> dict[str, Any]:
    """Run a command. Return what it prints as JSON. Raise StackError."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "operations", *arguments, env=dict(environment), stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        out, error = await asyncio.wait_for(process.communicate(), COMMAND_TIMEOUT_S)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise StackError(f"`operations {arguments[0]}` took more than {COMMAND_TIMEOUT_S} s") from None
    if process.returncode not in (FOUND_NOTHING, FOUND_SOMETHING) or not out:
        raise StackError(f"`operations {arguments[0]}` failed ({process.returncode}): {error.decode().strip()}")
    printed: dict[str, Any] = json.loads(out)
    return printed


def _iso(at_s: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_s))
