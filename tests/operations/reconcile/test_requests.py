"""A person asks for a comparison in the console, and the reconciler does it."""

from pathlib import Path

import pytest

from operations.log import Act
from operations.reconcile.request import ask, read_requests
from operations.reconcile.schedule import ACTOR, Schedule
from tests.support.reconciling import EVENTS, Reconciler
from tests.support.stand_ins.stand_in import status

ACTS = "SELECT actor, face, action, subject, touched FROM operations ORDER BY id"
OLGA = Act("olga", "a customer has paid", "console")


@pytest.fixture
def sources_file(tmp_path: Path) -> Path:
    file = tmp_path / "scheduled.toml"
    file.write_text('[stripe]\nprovider = "stripe"\nreconcile_every = "1h"\n')
    return file


@pytest.fixture
def hourly(reconciler: Reconciler) -> Reconciler:
    reconciler.access |= {"reconcile_every": "1h"}
    reconciler.listing.add(*EVENTS)
    return reconciler


def schedule_of(reconciler: Reconciler) -> Schedule:
    return Schedule(reconciler.servers, {"stripe": reconciler.api()})


async def test_a_repair_that_was_asked_for_reaches_back_to_the_oldest_missing_event(
    hourly: Reconciler, sources_file: Path
) -> None:
    connection = hourly.workers.connection
    await schedule_of(hourly).run_once()
    assert (await hourly.row()).open_missing == 6
    await hourly.workers.stream.publish(EVENTS[0])
    await ask(connection, sources_file, "stripe", repair=True, act=OLGA)
    (request,) = (await read_requests(connection)).values()
    assert request.since
    await schedule_of(hourly).run_once()
    row = await hourly.row()
    assert (row.open_missing, row.repaired) == (0, 5)
    assert await read_requests(connection) == {}
    assert await hourly.workers.rows(ACTS) == [
        ("olga", "console", "reconcile", "source:stripe", 1), ("olga", "console", "reconcile", "source:stripe", 5),
    ]  # fmt: skip
    await hourly.drain()
    assert len(await hourly.workers.events()) == 6


async def test_a_comparison_alone_repairs_nothing_and_one_that_fails_stays_asked_for(
    hourly: Reconciler, sources_file: Path
) -> None:
    connection = hourly.workers.connection
    await ask(connection, sources_file, "stripe", repair=False, act=OLGA)
    hourly.listing.mishaps.append(status(401))
    assert await schedule_of(hourly).run_once() == 1
    assert (await read_requests(connection))["stripe"].actor == "olga"
    await connection.execute("UPDATE reconciliations SET next_at = now()")
    assert await schedule_of(hourly).run_once() == 0
    assert ((await hourly.row()).open_missing, await read_requests(connection)) == (6, {})
    assert ACTOR not in str(await hourly.workers.rows(ACTS))
