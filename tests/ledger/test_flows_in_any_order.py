"""What five providers report about a payment gives the same rows in any order, with any repeats and batches."""

from collections.abc import Sequence
from itertools import pairwise

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumers import store
from consumers.entry import Entry
from consumers.handlers.payments import builtin
from contract.accounts import PostingRules
from contract.event import Event
from sql import load
from tests.support.flows import (
    Flow,
    adyen,
    braintree,
    braintree_dispute,
    braintree_sale,
    checkout,
    mercadopago,
    mollie,
    mollie_simple,
)

INVARIANTS = load("invariants")
SHARE = 0.04
"""Of the profile's examples: each tries every flow of a provider once."""

CALL_TIMEOUT_S = 10.0


def row(status: str, captured: int = 0, refunded: int = 0, disputed: int = 0) -> dict[str, object]:
    return {"status": status, "captured": captured, "refunded": refunded, "disputed": disputed}


# Adyen captures by itself: what it does not say, and what undoes it.

AUTO = PostingRules(trust="all", capture="automatic")
HELD = adyen(1, "AUTHORISATION", 1000)


def automatic(name: str, rows: dict[str, object], merchant: int, *events: Event) -> Flow:
    return Flow(f"adyen, captured by itself: {name}", [HELD, *events], {"A1": rows},
                {"merchant": merchant} if merchant else {}, AUTO)  # fmt: skip


AUTOMATIC = [
    automatic("captured", row("succeeded", 1000), 1000),
    automatic("canceled", row("canceled"), 0, adyen(2, "CANCELLATION", 1000, "X1")),
    automatic("canceled for technical reasons", row("canceled"), 0, adyen(2, "TECHNICAL_CANCEL", 1000, "X1")),
    automatic("canceled or refunded: canceled", row("canceled"), 0,
              adyen(2, "CANCEL_OR_REFUND", 1000, "X1", did="cancel")),
    automatic("canceled or refunded: refunded", row("refunded", 1000, 1000), 0,
              adyen(2, "CANCEL_OR_REFUND", 1000, "R1", did="refund")),
    automatic("a cancellation that was refused", row("succeeded", 1000), 1000,
              adyen(2, "CANCELLATION", 1000, "X1", success="false")),
    automatic("expired", row("canceled"), 0, adyen(2, "EXPIRE", 1000)),
    automatic("captured in part", row("succeeded", 600), 600, adyen(2, "CAPTURE", 600, "C1")),
    automatic("captured in part, the rest expired", row("succeeded", 600), 600,
              adyen(2, "CAPTURE", 600, "C1"), adyen(3, "EXPIRE", 1000)),
    automatic("captured in two parts", row("succeeded", 1000), 1000,
              adyen(2, "CAPTURE", 600, "C1"), adyen(3, "CAPTURE", 400, "C2")),
    automatic("captured by hand in whole", row("succeeded", 1000), 1000, adyen(2, "CAPTURE", 1000, "C1")),
    automatic("adjusted up", row("succeeded", 1500), 1500, adyen(2, "AUTHORISATION_ADJUSTMENT", 1500, "J1")),
    automatic("adjusted down", row("succeeded", 800), 800, adyen(2, "AUTHORISATION_ADJUSTMENT", 800, "J1")),
    automatic("adjusted twice", row("succeeded", 1200), 1200,
              adyen(2, "AUTHORISATION_ADJUSTMENT", 1500, "J1"), adyen(3, "AUTHORISATION_ADJUSTMENT", 1200, "J2")),
    automatic("adjusted, then canceled", row("canceled"), 0,
              adyen(2, "AUTHORISATION_ADJUSTMENT", 1500, "J1"), adyen(3, "CANCELLATION", 1500, "X1")),
    automatic("adjusted, then captured in part", row("succeeded", 700), 700,
              adyen(2, "AUTHORISATION_ADJUSTMENT", 1500, "J1"), adyen(3, "CAPTURE", 700, "C1")),
    automatic("an adjustment that was refused", row("succeeded", 1000), 1000,
              adyen(2, "AUTHORISATION_ADJUSTMENT", 1500, "J1", success="false")),
    Flow("adyen, captured by itself: a card is checked", [adyen(1, "AUTHORISATION", 0)], {"A1": row("authorized")}, {},
         AUTO),
    Flow("adyen, captured by itself: a card is checked, and the check canceled",
         [adyen(1, "AUTHORISATION", 0), adyen(2, "CANCELLATION", 0, "X1")], {"A1": row("canceled")}, {}, AUTO),
    automatic("the capture failed", row("failed"), 0, adyen(2, "CAPTURE_FAILED", 1000, "C1")),
    automatic("refunded in part, and the refund came back", row("succeeded", 1000), 1000,
              adyen(2, "REFUND", 300, "R1"), adyen(3, "REFUNDED_REVERSED", 300, "R1")),
    automatic("two refunds, of which one failed", row("partially_refunded", 1000, 200), 800,
              adyen(2, "REFUND", 300, "R1"), adyen(3, "REFUND_FAILED", 300, "R1"), adyen(4, "REFUND", 200, "R2")),
]  # fmt: skip

# Disputes of Adyen: every stage has one PSP reference.

TAKEN = [adyen(2, "NOTIFICATION_OF_CHARGEBACK", 1000, "D1"), adyen(3, "CHARGEBACK", 1000, "D1")]
RETURNED = adyen(4, "CHARGEBACK_REVERSED", 1000, "D1")


def disputed(name: str, status: str, left: int, *events: Event) -> Flow:
    balances = {"merchant": 1000, **({"disputes": -left} if left else {})}
    captured = adyen(1, "CAPTURE", 1000, "C1")
    return Flow(f"adyen, disputed: {name}", [captured, *events], {"A1": row(status, 1000, 0, left)}, balances)


DISPUTED = [
    disputed("taken", "disputed", 1000, *TAKEN),
    disputed("not defended", "charged_back", 1000, *TAKEN, adyen(4, "DISPUTE_DEFENSE_PERIOD_ENDED", 1000, "D1")),
    disputed("defended", "succeeded", 0, *TAKEN, RETURNED),
    disputed("defended, and the issuer gave up", "succeeded", 0, *TAKEN, RETURNED,
             adyen(5, "ISSUER_RESPONSE_TIMEFRAME_EXPIRED", 1000, "D1")),
    disputed("taken a second time", "charged_back", 1000, *TAKEN, RETURNED, adyen(5, "SECOND_CHARGEBACK", 1000, "D1")),
    disputed("taken a second time, in part", "charged_back", 400, *TAKEN, RETURNED,
             adyen(5, "SECOND_CHARGEBACK", 400, "D1")),
    disputed("a second time, then lost in arbitration", "charged_back", 1000, *TAKEN, RETURNED,
             adyen(5, "SECOND_CHARGEBACK", 1000, "D1"), adyen(6, "SCHEME_ARBITRATION_LOST", 1000, "D1")),
    disputed("defended, won in pre-arbitration", "succeeded", 0, *TAKEN, RETURNED,
             adyen(5, "PREARBITRATION_OPEN", 1000, "D1"), adyen(6, "PREARBITRATION_WON", 1000, "D1")),
    disputed("only a warning", "succeeded", 0, adyen(2, "NOTIFICATION_OF_FRAUD", 1000, "F1"),
             adyen(3, "REQUEST_FOR_INFORMATION", 1000, "D1")),
]  # fmt: skip

# Braintree: a dispute takes its amount when it is opened.

SETTLED = braintree_sale(1, "transaction_settled")


def of_braintree(name: str, rows: dict[str, object], balances: dict[str, int], *events: Event) -> Flow:
    return Flow(f"braintree: {name}", [SETTLED, *events], {"bt1": rows}, balances)


LOST = {"merchant": 1000, "disputes": -1000}
BRAINTREE = [
    of_braintree("disputed", row("disputed", 1000, 0, 1000), LOST, braintree_dispute(2, "dispute_opened")),
    of_braintree("lost", row("charged_back", 1000, 0, 1000), LOST, braintree_dispute(2, "dispute_opened"),
                 braintree_dispute(3, "dispute_disputed"), braintree_dispute(4, "dispute_lost")),
    of_braintree("accepted, and nothing else said", row("charged_back", 1000, 0, 1000), LOST,
                 braintree_dispute(2, "dispute_auto_accepted")),
    of_braintree("won", row("succeeded", 1000), {"merchant": 1000}, braintree_dispute(2, "dispute_opened"),
                 braintree_dispute(3, "dispute_won", **{"amount-won": "10.00"})),
    of_braintree("won in part", row("charged_back", 1000, 0, 300), {"merchant": 1000, "disputes": -300},
                 braintree_dispute(2, "dispute_opened"), braintree_dispute(3, "dispute_won", **{"amount-won": "7.00"})),
    of_braintree("won, then lost in pre-arbitration", row("charged_back", 1000, 0, 1000), LOST,
                 braintree_dispute(2, "dispute_opened"), braintree_dispute(3, "dispute_won"),
                 braintree_dispute(4, "dispute_opened", "bd2", of="pre_arbitration"),
                 braintree_dispute(5, "dispute_lost", "bd2", of="pre_arbitration")),
    of_braintree("asked for documents", row("succeeded", 1000), {"merchant": 1000},
                 braintree_dispute(2, "dispute_opened", of="retrieval")),
    of_braintree("returned by the bank", row("failed"), {}, braintree_sale(2, "transaction_settlement_declined")),
    Flow("braintree: a local payment before its transaction", [
        braintree(1, "local_payment_completed", {"local-payment": {"payment-id": "lp1", "payment-method-nonce": "n"}}),
    ], {}),
]  # fmt: skip

# Checkout.com: any event of a dispute proves that its amount was deducted.

PAID = checkout(1, "payment_captured")


def of_checkout(name: str, rows: dict[str, object], balances: dict[str, int], *events: Event) -> Flow:
    return Flow(f"checkout: {name}", [PAID, *events], {"pay_1": rows}, balances)


CHECKOUT = [
    of_checkout("refunded, disputed, lost without evidence", row("charged_back", 1000, 1000, 1000), {"disputes": -1000},
                checkout(2, "payment_refunded"), checkout(3, "dispute_received"), checkout(4, "dispute_lost")),
    of_checkout("refunded, disputed, resolved", row("refunded", 1000, 1000), {},
                checkout(2, "payment_refunded"), checkout(3, "dispute_received"), checkout(4, "dispute_resolved")),
    of_checkout("resolved by the network", row("charged_back", 1000, 0, 1000), LOST,
                checkout(2, "dispute_resolved", resolved_reason="rapid_dispute_resolution")),
    of_checkout("accepted", row("charged_back", 1000, 0, 1000), LOST,
                checkout(2, "dispute_evidence_required"), checkout(3, "dispute_accepted")),
    of_checkout("expired, in part", row("charged_back", 1000, 0, 400), {"merchant": 1000, "disputes": -400},
                checkout(2, "dispute_received", 400), checkout(3, "dispute_expired", 400)),
    of_checkout("won", row("succeeded", 1000), {"merchant": 1000}, checkout(2, "dispute_evidence_required"),
                checkout(3, "dispute_evidence_submitted"), checkout(4, "dispute_won")),
    of_checkout("canceled", row("succeeded", 1000), {"merchant": 1000}, checkout(2, "dispute_canceled")),
    of_checkout("lost, then won in arbitration", row("succeeded", 1000), {"merchant": 1000},
                checkout(2, "dispute_evidence_required"), checkout(3, "dispute_lost"),
                checkout(4, "dispute_arbitration_sent_to_scheme"), checkout(5, "dispute_arbitration_won")),
    of_checkout("lost in arbitration", row("charged_back", 1000, 0, 1000), LOST,
                checkout(2, "dispute_lost"), checkout(3, "dispute_arbitration_lost")),
    of_checkout("an event without its data", row("succeeded", 1000), {"merchant": 1000},
                checkout(2, "dispute_lost", currency=None)),
]  # fmt: skip

# Mollie: one capture is booked once, by whichever events report it.

DELAYED = {"captureMode": "automatic", "captureDelay": "2 days"}
BY_HAND = {"captureMode": "manual", "authorizedAt": "2026-03-02T01:15:42+00:00"}


def of_mollie(name: str, rows: dict[str, object], balances: dict[str, int], *events: Event) -> Flow:
    return Flow(f"mollie: {name}", list(events), {"tr_1": rows}, balances)


MOLLIE = [
    of_mollie("captured by itself after a delay", row("succeeded", 1000), {"merchant": 1000},
              mollie(1, "payment.authorized", **DELAYED), mollie(2, "capture.succeeded", id_="cpt_1"),
              mollie(3, "payment.paid", **DELAYED)),
    of_mollie("captured by hand in two parts", row("succeeded", 900), {"merchant": 900},
              mollie(1, "payment.authorized", **BY_HAND), mollie(2, "capture.succeeded", "6.00", "cpt_1"),
              mollie(3, "capture.succeeded", "3.00", "cpt_2"), mollie(4, "payment.paid", **BY_HAND)),
    of_mollie("paid at once", row("succeeded", 1000), {"merchant": 1000}, mollie(1, "payment.paid")),
    of_mollie("held, and released", row("canceled"), {},
              mollie(1, "payment.authorized", **DELAYED), mollie(2, "payment.canceled", **DELAYED)),
    of_mollie("charged back", row("disputed", 1000, 0, 400), {"merchant": 1000, "disputes": -400},
              mollie(1, "payment.paid"), mollie(2, "chargeback.received", "4.00", "chb_1")),
    of_mollie("charged back, and reversed", row("succeeded", 1000), {"merchant": 1000}, mollie(1, "payment.paid"),
              mollie(2, "chargeback.received", "4.00", "chb_1"), mollie(3, "chargeback.reversed", "4.00", "chb_1")),
    of_mollie("two chargebacks, one reversed", row("disputed", 1000, 0, 600), {"merchant": 1000, "disputes": -600},
              mollie(1, "payment.paid"), mollie(2, "chargeback.received", "4.00", "chb_1"),
              mollie(3, "chargeback.reversed", "4.00", "chb_1"), mollie(4, "chargeback.received", "6.00", "chb_2")),
    of_mollie("a refund that failed", row("succeeded", 1000), {"merchant": 1000}, mollie(1, "payment.paid"),
              mollie(2, "refund.refunded", "4.00", "re_1"), mollie(3, "refund.failed", "4.00", "re_1")),
    of_mollie("a simple payload among others", row("succeeded", 1000), {"merchant": 1000},
              mollie(1, "payment.paid"), mollie_simple(2, "refund.refunded")),
]  # fmt: skip

# Mercado Pago: the status says what happened.


def of_mercadopago(name: str, rows: dict[str, object], balances: dict[str, int], *events: Event) -> Flow:
    paid = mercadopago(1, "order.processed", "processed", "accredited")
    return Flow(f"mercadopago: {name}", [paid, *events], {"ord1": rows}, balances)


PART, WHOLE = ({"id": "REF1", "amount": amount, "status": "processed"} for amount in ("3.00", "10.00"))
FAILED = {**PART, "status": "failed"}
CHARGEBACK = {"id": "CHB1", "amount": "10.00"}
DISPUTED_ORDER = mercadopago(2, "order.charged_back", "charged_back", "in_process", chargebacks=[CHARGEBACK])
MERCADOPAGO = [
    of_mercadopago("refunded in part", row("partially_refunded", 1000, 300), {"merchant": 700},
                   mercadopago(2, "order.refunded", "processed", "partially_refunded", refunds=[PART])),
    of_mercadopago("refunded whole", row("refunded", 1000, 1000), {},
                   mercadopago(2, "order.refunded", "refunded", "refunded", refunds=[WHOLE])),
    of_mercadopago("a refund that failed", row("succeeded", 1000), {"merchant": 1000},
                   mercadopago(2, "order.processed", "processed", "accredited", refunds=[FAILED])),
    of_mercadopago("charged back", row("disputed", 1000, 0, 1000), LOST, DISPUTED_ORDER),
    of_mercadopago("charged back for good", row("charged_back", 1000, 0, 1000), LOST, DISPUTED_ORDER,
                   mercadopago(3, "order.charged_back", "charged_back", "settled", chargebacks=[CHARGEBACK])),
    of_mercadopago("reimbursed", row("succeeded", 1000), {"merchant": 1000}, DISPUTED_ORDER,
                   mercadopago(3, "order.charged_back", "charged_back", "reimbursed", chargebacks=[CHARGEBACK])),
]  # fmt: skip

FLOWS = [AUTOMATIC, DISPUTED, BRAINTREE, CHECKOUT, MOLLIE, MERCADOPAGO]

ROWS = "SELECT payment_id, status, captured, refunded, disputed FROM payments"
BALANCES = "SELECT account, balance FROM balances WHERE balance <> 0 AND account NOT LIKE 'provider:%'"
CONFLICTS = "SELECT movement FROM conflicts"


async def apply(connection: asyncpg.Connection, flow: Flow, batches: Sequence[Sequence[Event]]) -> None:
    """Apply batches as a worker does: a repeated event is a duplicate."""
    handlers = builtin({event.source: flow.rules for event in flow.events})
    for at, batch in enumerate(batches):
        entries = [Entry(f"{at}-{number}", 1, event, {}) for number, event in enumerate(batch, start=1)]
        claimed = await store.claim(connection, entries, handlers.is_of_other_mode)
        await handlers.apply(connection, [entry.event for entry in claimed], CALL_TIMEOUT_S, lambda: None)


async def assert_rows(connection: asyncpg.Connection, flow: Flow) -> None:
    rows = [dict(each) for each in await connection.fetch(ROWS)]
    assert {each.pop("payment_id"): each for each in rows} == flow.rows, flow.name
    balances = {each["account"]: each["balance"] for each in await connection.fetch(BALANCES)}
    assert balances == flow.balances, flow.name
    assert await connection.fetch(CONFLICTS) == [], flow.name
    assert [name for name, query in INVARIANTS.items() if await connection.fetch(query)] == [], flow.name


def batches_of(events: Sequence[Event], data: st.DataObject) -> list[list[Event]]:
    """Draw an order, with repeats, in batches."""
    order = data.draw(st.permutations([*events, *data.draw(st.lists(st.sampled_from(events), max_size=2))]))
    cuts = [0, *sorted(data.draw(st.sets(st.integers(1, len(order)), max_size=3))), len(order)]
    return [list(order[start:end]) for start, end in pairwise(cuts) if start < end]


@settings(deadline=None, max_examples=round(settings().max_examples * SHARE), suppress_health_check=list(HealthCheck))
@given(data=st.data())
@pytest.mark.parametrize("flows", FLOWS, ids=[flows[0].name.partition(":")[0] for flows in FLOWS])
async def test_each_flow_gives_its_rows_in_any_order(
    connection: asyncpg.Connection, flows: Sequence[Flow], data: st.DataObject
) -> None:
    for flow in flows:
        transaction = connection.transaction()
        await transaction.start()
        try:
            await apply(connection, flow, batches_of(flow.events, data))
            await assert_rows(connection, flow)
        finally:
            await transaction.rollback()
