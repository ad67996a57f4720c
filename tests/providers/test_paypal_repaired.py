"""PayPal: an event that was found in the list, and its delivery under another id, move their money once."""

from dataclasses import replace

from consumers.handlers.payments import builtin
from contract.accounts import PostingRules
from contract.event import Event
from providers.base import Headers, Request
from providers.payload import read_json
from providers.paypal.identity import identify, mode_of
from providers.paypal.models import AnyEvent
from sql.audit import audit
from tests.support.cases.base import NOW
from tests.support.consuming import Workers
from tests.support.provider_cases import CASES
from tests.support.recorded import Recording, recordings

TRANSFERS = """
    SELECT movement, debit_account, credit_account, amount, currency
    FROM transfers WHERE namespace = $1 ORDER BY movement
"""
PAYMENT = "SELECT status, currency, amount, captured, refunded, disputed FROM payments WHERE namespace = $1"
TRUST = builtin({"paypal": PostingRules(trust="all")})


def repaired(recording: Recording, namespace: str) -> Event:
    """Return the event as the list has it."""
    body = read_json(AnyEvent, recording.body)
    source = CASES["paypal"].source()
    listed = identify(body, body.id, mode_of(body))
    event = source.to_event(Request("POST", "/", Headers([]), recording.body, NOW), "api", listed)
    return replace(event, source="paypal", namespace=namespace, origin="reconcile")


async def test_an_event_from_the_list_and_its_delivery_move_their_money_once(workers: Workers) -> None:
    by_namespace: dict[str, Recording] = {}
    for number, recording in enumerate(recordings("paypal")):
        for first in ("listed", "delivered"):
            namespace = f"{first}-{number}"
            by_namespace[namespace] = recording
            pair = [repaired(recording, namespace), recording.event(namespace)]
            assert pair[0].event_id != pair[1].event_id
            for event in pair if first == "listed" else reversed(pair):
                await workers.stream.publish(event)
    async with workers.working(TRUST):
        await workers.drained()
    assert await workers.dead() == []
    for namespace, recording in by_namespace.items():
        expected = recording.content
        assert [list(row) for row in await workers.rows(TRANSFERS, namespace)] == expected["transfers"], namespace
        payments = [dict(row) for row in await workers.connection.fetch(PAYMENT, namespace)]
        assert payments == ([expected["payment"]] if expected["payment"] else []), namespace
        assert await workers.rows("SELECT count(*) FROM events WHERE namespace = $1", namespace) == [(2,)]
    assert await audit(workers.connection) == []
