"""Workers of version 0.2.0 and of today book on the same schema, and rows of before the migration stay right."""

import shutil
import zipfile
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from contract.accounts import PostingRules
from contract.facts import Fact
from ledger.posting import post
from sql import Queries, parse
from sql.audit import audit
from sql.connect import connect
from sql.migrate import MIGRATIONS, migrate
from tests.support.batches import Row, claim, claim_columns
from tests.support.events import contract_event

[_WHEEL] = (Path(__file__).parents[1] / "releases").glob("payment_webhooks-0.2.*.whl")
with zipfile.ZipFile(_WHEEL) as _wheel:
    _TEXTS = [_wheel.read(name).decode() for name in _wheel.namelist() if name.startswith("sql/queries/")]
OLD = Queries(_WHEEL.name, [query for text in _TEXTS for query in parse(text, _WHEEL.name)])
"""The statements that the programs of version 0.2.0 execute."""

WAIT_S = 10.0

DISPUTE = "SELECT status, disputed, disputed_currency, withdrawn_amount, reinstated_amount FROM disputes"
PAYMENT = "SELECT status, captured, disputed, charged_back FROM payments"


def old_update(**changes: Any) -> dict[str, list[Any]]:
    """Return one row of the old `book_facts`: the capture of pi_1."""
    update = {
        "namespace": "stripe", "payment_id": "pi_1", "provider": "stripe", "event_id": "evt_1", "occurred_at": None,
        "currency": "EUR", "amount": 0, "refunds_total": 0, "authorized": False, "succeeded": False, "failed": False,
        "canceled": False, "capture_failed": False, "transfer_key": None, "transfer_amount": 0, "adds_to": None,
        "debit_account": None, "credit_account": None,
    }  # fmt: skip
    return {name: [value] for name, value in (update | changes).items()}


CAPTURE = old_update(
    amount=1999, succeeded=True, transfer_key="capture:pi_1", transfer_amount=1999, adds_to="captured",
    debit_account="provider:stripe", credit_account="merchant",
)  # fmt: skip
WITHDRAWAL = old_update(
    transfer_key="dispute:dp_1", transfer_amount=1500, debit_account="disputes", credit_account="provider:stripe",
)  # fmt: skip


async def old_worker_books(connection: asyncpg.Connection) -> None:
    """Book a capture, and a dispute that was opened and withdrawn, as a worker of version 0.2.0 does."""
    await connection.fetchrow(*OLD.bind("book_facts", **CAPTURE))
    await connection.fetchrow(*OLD.bind("book_facts", **WITHDRAWAL))
    payment = {"namespace": ["stripe"] * 2, "payment_id": ["pi_1"] * 2}
    disputed = {"dispute_id": ["dp_1"] * 2, "currency": ["EUR"] * 2, "amount": [1500] * 2}
    kinds = ["dispute_opened", "funds_withdrawn"]
    await connection.execute(*OLD.bind("merge_disputes", **payment, **disputed, kind=kinds))
    await connection.execute(*OLD.bind("recompute_disputed", **payment))


async def new_worker_posts(connection: asyncpg.Connection, *facts: Fact) -> None:
    outcome = await post(connection, [(contract_event("evt_1"), facts)], lambda _: PostingRules(), frozenset())
    assert not outcome.conflicts


async def rows(connection: asyncpg.Connection, query: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await connection.fetch(query)]


@pytest.mark.parametrize("name", OLD)
async def test_every_statement_of_0_2_is_still_valid(connection: asyncpg.Connection, name: str) -> None:
    await connection.prepare(OLD.describe(name).text)


async def test_both_book_one_dispute_in_turn(connection: asyncpg.Connection) -> None:
    assert await claim(connection, [Row("evt_1", "1-0")]) == {"1-0"}
    await old_worker_books(connection)
    assert await audit(connection) == []
    await new_worker_posts(
        connection, Fact("funds_withdrawn", 1500, "EUR", "dp_1"), Fact("funds_reinstated", 400, "EUR", "dp_1"),
        Fact("dispute_lost", 1500, "EUR", "dp_1"),
    )  # fmt: skip
    assert await rows(connection, DISPUTE) == [("partly_lost", 1100, "EUR", 1500, 400)]
    assert await rows(connection, PAYMENT) == [("charged_back", 1999, 1100, True)]
    assert await rows(connection, "SELECT account, balance FROM balances ORDER BY 1") == [
        ("disputes", -1100), ("merchant", 1999), ("provider:stripe", -899)
    ]  # fmt: skip
    await old_worker_books(connection)
    assert len(await rows(connection, "SELECT movement FROM transfers")) == 3


async def test_what_0_2_captured_whole_is_undone_by_a_capture_of_its_own(connection: asyncpg.Connection) -> None:
    """Mollie's payment that was authorized first: 0.2 applied `payment.paid`, and today's worker its capture."""
    await claim(connection, [Row("evt_1", "1-0")])
    await connection.fetchrow(*OLD.bind("book_facts", **CAPTURE))
    await new_worker_posts(connection, Fact("captured", 1999, "EUR", "cpt_1", either_whole_or_parts=True))
    assert await rows(connection, PAYMENT) == [("succeeded", 1999, 0, False)]
    assert await rows(connection, "SELECT movement FROM transfers ORDER BY 1") == [
        ("capture:cpt_1",), ("capture:pi_1",), ("capture_failed:pi_1",)
    ]  # fmt: skip
    assert await audit(connection) == []


async def test_an_old_worker_claims_events_next_to_a_new_one(connection: asyncpg.Connection) -> None:
    names = OLD.describe("claim_events").parameters
    values = {name: ["stripe"] for name in names} | {
        "event_id": ["evt_2"], "entry_id": ["2-0"], "signed": ["body"], "occurred_at": [None],
        "received_at": [contract_event().received_at],
    }  # fmt: skip
    assert len(await connection.fetch(*OLD.bind("claim_events", **values))) == 1
    assert await claim(connection, [Row("evt_2", "3-0")]) == set()
    assert await rows(connection, "SELECT mode, account FROM events") == [(None, "")]


@pytest.fixture
async def before(empty_database_url: str, tmp_path: Path) -> asyncpg.Connection:
    """A database before the migration that keeps what moved for a dispute."""
    for path in sorted(MIGRATIONS.glob("*.sql")):
        if path.stem < "0007_whose_money":
            shutil.copy(path, tmp_path)
    async with connect(empty_database_url, timeout_s=WAIT_S) as connection:
        await migrate(connection, lock_wait_s=WAIT_S, folder=tmp_path)
        yield connection


EVENT = """
INSERT INTO events (namespace, event_id, source, provider, entry_id, type, resource, signed, received_at)
VALUES ('stripe', 'evt_1', 'stripe', 'stripe', '1-0', 't', 'pi_1', 'body', now())
"""


async def test_what_moved_for_disputes_of_before_is_summed_up(before: asyncpg.Connection) -> None:
    await before.execute(EVENT)
    await old_worker_books(before)
    await migrate(before, lock_wait_s=WAIT_S)
    assert await rows(before, DISPUTE) == [("open", 1500, "EUR", 1500, 0)]
    assert await rows(before, PAYMENT) == [("disputed", 1999, 1500, False)]
    assert await audit(before) == []
    await new_worker_posts(
        before, Fact("dispute_won", 1500, "EUR", "dp_1"), Fact("funds_reinstated", 1500, "EUR", "dp_1")
    )
    assert await rows(before, DISPUTE) == [("won", 0, "EUR", 1500, 1500)]
    assert await rows(before, PAYMENT) == [("succeeded", 1999, 0, False)]
    assert await audit(before) == []


MOVE_ALL = """
SELECT archive_events(now() + interval '1 day', 0, 100, '0'), archive_payments(now() + interval '1 day', 0, 100, '0')
"""


@pytest.mark.parametrize("name", ["claim_events", "book_facts"])
async def test_an_old_worker_repeats_nothing_that_is_in_the_archive(connection: asyncpg.Connection, name: str) -> None:
    row = Row("evt_1", "1-0", "pi_1")
    assert await claim(connection, [row]) == {"1-0"}
    await old_worker_books(connection)
    await connection.execute("UPDATE disputes SET lost = true")
    await connection.execute(MOVE_ALL)
    assert await rows(connection, "SELECT count(*) FROM ONLY events") == [(0,)]
    assert await rows(connection, "SELECT count(*) FROM ONLY payments") == [(0,)]
    parameters = OLD.describe("claim_events").parameters
    again = {each: values for each, values in claim_columns([row]).items() if each in parameters}
    values = again if name == "claim_events" else CAPTURE
    with pytest.raises(asyncpg.RaiseError, match="this release does not know"):
        await connection.fetch(*OLD.bind(name, **values))
    assert await audit(connection, names=IN_ONE_TABLE) == []


IN_ONE_TABLE = ("event_in_two_tables", "payment_in_two_tables", "transfer_in_two_tables")
