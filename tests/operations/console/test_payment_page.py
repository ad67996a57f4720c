"""The page of one payment."""

from operations.console.links import payment_path
from operations.why.model import BookedTransfer
from operations.why.running_balances import running_balances
from tests.support.console import RunningConsole
from tests.support.consuming import Workers
from tests.support.events import RECEIVED_AT, contract_event
from tests.support.operator_commands import STOPPED, captured, refunded, unsigned

HOSTILE = "<script>alert(1)</script>{{7*7}}\u202e'\"/.."


async def apply(workers: Workers, *events: object) -> None:
    for event in events:
        await workers.stream.publish(event)  # type: ignore[arg-type]
    async with workers.working(batch_size=1):
        await workers.drained()


async def test_transfers_have_running_balances_and_lead_to_their_events(
    console: RunningConsole, workers: Workers
) -> None:
    await apply(workers, captured(700, "evt_1"), refunded(200, "evt_2"))
    page = await console.viewer.get(payment_path("stripe", "pi_1"))
    assert page.status == 200
    for expected in ("partially_refunded", "7.00 EUR", "5.00 EUR", "-5.00 EUR", "capture:pi_1", "refund:re_1",
                     'href="/events/stripe/evt_2"'):  # fmt: skip
        assert expected in page.text


async def test_conflicts_and_money_on_hold_are_shown(console: RunningConsole, workers: Workers) -> None:
    await apply(workers, *STOPPED)
    page = await console.viewer.get(payment_path("stripe", "pi_1"))
    for expected in (
        "Conflicts",
        "8.00 EUR",
        ">open<",
        "On hold",
        "of a conflict",
        "make resolve ID=",
        "the largest amounts that were reported",
        "Compare and decide",
    ):
        assert expected in page.text
    await apply(workers, *unsigned(captured(300, "evt_u", "pi_2")))
    assert "its signature does not cover it" in (await console.viewer.get(payment_path("stripe", "pi_2"))).text


async def test_a_payment_of_which_only_an_entry_is_known_is_shown(console: RunningConsole, workers: Workers) -> None:
    await workers.stream.publish(contract_event(HOSTILE, HOSTILE, type=HOSTILE))
    page = await console.operator.get(payment_path("stripe", HOSTILE))
    assert page.status == 200
    assert "<script>alert" not in page.text
    assert "\u202e" not in page.text
    assert "{{7*7}}" in page.text
    assert "waiting" in page.text


async def test_an_unknown_payment_is_not_found(console: RunningConsole) -> None:
    page = await console.viewer.get(payment_path("stripe", ".."))
    assert page.status == 404
    assert "Nothing is known of the payment stripe/..." in page.text


def test_running_balances_never_add_currencies() -> None:
    def transfer(debit: str, credit: str, amount: int, currency: str) -> BookedTransfer:
        return BookedTransfer("m", debit, credit, amount, currency, "e", None, RECEIVED_AT)

    rows = running_balances(
        [transfer("p", "m", 700, "EUR"), transfer("m", "p", 200, "EUR"), transfer("p", "m", 5, "USD")]
    )
    assert [(each.debit_balance, each.credit_balance) for each in rows] == [(-700, 700), (500, -500), (-5, 5)]
