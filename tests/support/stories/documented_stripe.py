"""Stories of Stripe: disputes by what moved, captures in parts, holds that end."""

from typing import Any

from tests.support.stories.documented import Documented


def stripe(*events: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Return events of Stripe, an hour apart."""
    return [
        {"id": f"evt_{number}", "object": "event", "type": type_, "created": 1_767_323_045 + 3600 * number,
         "livemode": True, "data": {"object": object_}}
        for number, (type_, object_) in enumerate(events)
    ]  # fmt: skip


def intent(received: int, amount: int = 10000, currency: str = "usd", **more: Any) -> dict[str, Any]:
    return {"id": "pi_1", "amount": amount, "amount_received": received, "currency": currency, **more}


def charge(captured: int, amount: int = 10000, **more: Any) -> dict[str, Any]:
    return {"id": "ch_1", "amount": amount, "amount_captured": captured, "amount_refunded": 0, "currency": "usd",
            "captured": bool(captured), "status": "succeeded", "payment_intent": "pi_1", **more}  # fmt: skip


def dispute(
    status: str, *moved: int, claimed: int = 10000, currency: str = "usd", moved_in: str = "usd"
) -> dict[str, Any]:
    listed = [{"id": f"txn_{number}", "amount": amount, "currency": moved_in, "created": 1_767_323_045 + number,
               "reporting_category": "dispute" if amount < 0 else "dispute_reversal"}
              for number, amount in enumerate(moved)]  # fmt: skip
    return {"id": "du_1", "amount": claimed, "currency": currency, "status": status, "charge": "ch_1",
            "payment_intent": "pi_1", "balance_transactions": listed}  # fmt: skip


PAID = ("payment_intent.succeeded", intent(10000))
REFUNDED = ("refund.created", {"id": "re_1", "amount": 4000, "currency": "usd", "status": "succeeded",
                               "balance_transaction": "txn_r", "charge": "ch_1", "payment_intent": "pi_1"})  # fmt: skip
PARTS: dict[str, Any] = {"payment_method_details": {"card": {"multicapture": {"status": "available"}}}}

STRIPE = {
    "partly won after a partial refund": Documented(
        "stripe",
        stripe(
            PAID,
            REFUNDED,
            ("charge.dispute.created", dispute("needs_response", -10000)),
            ("charge.dispute.funds_withdrawn", dispute("needs_response", -10000)),
            ("charge.dispute.closed", dispute("lost", -10000, 4000)),
            ("charge.dispute.funds_reinstated", dispute("lost", -10000, 4000)),
        ),
        {"pi_1": ("charged_back", 10000, 4000, 6000)},
        {"capture:pi_1": (10000, "USD"), "refund:re_1": (4000, "USD"), "dispute:du_1": (10000, "USD"),
         "dispute_reinstated:du_1": (4000, "USD")},
        {("merchant", "USD"): 6000, ("disputes", "USD"): -6000},
    ),
    "lost, then won": Documented(
        "stripe",
        stripe(
            PAID,
            ("charge.dispute.created", dispute("needs_response", -10000)),
            ("charge.dispute.closed", dispute("lost", -10000)),
            ("charge.dispute.closed", dispute("won", -10000, 10000)),
            ("charge.dispute.funds_reinstated", dispute("won", -10000, 10000)),
        ),
        {"pi_1": ("succeeded", 10000, 0, 0)},
        {"capture:pi_1": (10000, "USD"), "dispute:du_1": (10000, "USD"), "dispute_reinstated:du_1": (10000, "USD")},
        {("merchant", "USD"): 10000},
    ),
    "won, and the exchange rate brought less back": Documented(
        "stripe",
        stripe(
            PAID,
            ("charge.dispute.created", dispute("needs_response", -9200, moved_in="eur")),
            ("charge.dispute.closed", dispute("won", -9200, 9150, moved_in="eur")),
            ("charge.dispute.funds_reinstated", dispute("won", -9200, 9150, moved_in="eur")),
        ),
        {"pi_1": ("succeeded", 10000, 0, 0)},
        {"capture:pi_1": (10000, "USD"), "dispute:du_1": (9200, "EUR"), "dispute_reinstated:du_1": (9150, "EUR")},
        {("merchant", "USD"): 10000, ("disputes", "EUR"): -50},
    ),
    "won, and taken again under the same id": Documented(
        "stripe",
        stripe(
            PAID,
            ("charge.dispute.funds_withdrawn", dispute("needs_response", -10000)),
            ("charge.dispute.funds_reinstated", dispute("won", -10000, 10000)),
            ("charge.dispute.funds_withdrawn", dispute("under_review", -10000, 10000, -10000)),
            ("charge.dispute.closed", dispute("lost", -10000, 10000, -10000)),
        ),
        {"pi_1": ("charged_back", 10000, 0, 10000)},
        {"capture:pi_1": (10000, "USD"), "dispute:du_1": (10000, "USD"), "dispute_reinstated:du_1": (10000, "USD"),
         "dispute:du_1:2": (10000, "USD")},
        {("merchant", "USD"): 10000, ("disputes", "USD"): -10000},
    ),
    "a dispute whose money has no events of its own": Documented(
        "stripe",
        stripe(
            PAID,
            ("charge.dispute.created", dispute("warning_needs_response")),
            ("charge.dispute.updated", dispute("needs_response", -10000)),
            ("charge.dispute.closed", dispute("won", -10000, 10000)),
        ),
        {"pi_1": ("succeeded", 10000, 0, 0)},
        {"capture:pi_1": (10000, "USD"), "dispute:du_1": (10000, "USD"), "dispute_reinstated:du_1": (10000, "USD")},
        {("merchant", "USD"): 10000},
    ),
    "a claim in another currency than the payment, without a list of what moved": Documented(
        "stripe",
        stripe(
            ("charge.dispute.created", {"id": "du_1", "amount": 1100, "currency": "usd", "charge": "ch_1",
                                        "status": "needs_response", "payment_intent": "pi_1"}),
            ("charge.dispute.funds_withdrawn", {"id": "du_1", "amount": 1100, "currency": "usd", "charge": "ch_1",
                                                "status": "needs_response", "payment_intent": "pi_1"}),
            ("payment_intent.succeeded", intent(1000, 1000, "eur")),
            ("charge.dispute.closed", {"id": "du_1", "amount": 1100, "currency": "usd", "status": "lost",
                                       "charge": "ch_1", "payment_intent": "pi_1"}),
        ),
        {"pi_1": ("charged_back", 1000, 0, 1100)},
        {"capture:pi_1": (1000, "EUR"), "dispute:du_1": (1100, "USD")},
        {("merchant", "EUR"): 1000, ("disputes", "USD"): -1100},
    ),
    "a dispute that moves money in the currency of the balance": Documented(
        "stripe",
        stripe(
            PAID,
            ("charge.dispute.created", dispute("needs_response", -9200, moved_in="eur")),
            ("charge.dispute.closed", dispute("lost", -9200, 3680, moved_in="eur")),
        ),
        {"pi_1": ("charged_back", 10000, 0, 5520)},
        {"capture:pi_1": (10000, "USD"), "dispute:du_1": (9200, "EUR"), "dispute_reinstated:du_1": (3680, "EUR")},
        {("merchant", "USD"): 10000, ("disputes", "EUR"): -5520},
    ),
    "a bank debit that failed after it succeeded": Documented(
        "stripe",
        stripe(
            ("payment_intent.processing", intent(0)),
            PAID,
            ("charge.dispute.created", dispute("lost", -10000)),
            ("charge.dispute.funds_withdrawn", dispute("lost", -10000)),
            ("charge.dispute.closed", dispute("lost", -10000)),
        ),
        {"pi_1": ("charged_back", 10000, 0, 10000)},
        {"capture:pi_1": (10000, "USD"), "dispute:du_1": (10000, "USD")},
        {("merchant", "USD"): 10000, ("disputes", "USD"): -10000},
    ),
    "captured in parts, and the rest canceled": Documented(
        "stripe",
        stripe(
            ("payment_intent.amount_capturable_updated", intent(0)),
            ("charge.succeeded", charge(0)),
            ("charge.captured", charge(1000, **PARTS)),
            ("charge.captured", charge(3000, **PARTS)),
            ("payment_intent.canceled", intent(3000, status="canceled")),
        ),
        {"pi_1": ("succeeded", 3000, 0, 0)},
        {"capture:pi_1": (3000, "USD")},
        {("merchant", "USD"): 3000},
    ),
    "never captured: the hold expired": Documented(
        "stripe",
        stripe(
            ("charge.succeeded", charge(0)),
            ("charge.expired", charge(0)),
            ("payment_intent.canceled", intent(0, status="canceled", cancellation_reason="expired")),
        ),
        {"pi_1": ("canceled", 0, 0, 0)},
        {},
    ),
}  # fmt: skip
