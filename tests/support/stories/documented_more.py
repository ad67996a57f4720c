"""Stories of Paystack, Razorpay and Paddle: holds, deductions at the onset, chargebacks that come again."""

from typing import Any

from tests.support.stories.documented import Documented

HOLD = {"id": 543, "reference": "pre1", "amount": 1000, "currency": "ZAR", "domain": "live", "transaction_id": None,
        "captured_amount": None}  # fmt: skip


def hold(type_: str, **changes: Any) -> dict[str, Any]:
    return {"event": f"preauthorization.{type_}", "data": HOLD | changes}


PAYSTACK = {
    "a hold that is captured": Documented(
        "paystack",
        [
            hold("reserve.success"),
            hold("capture.failed", captured_amount="1000"),
            hold("capture.success", captured_amount="1000", transaction={"id": "91", "reference": "pre1"}),
        ],
        {"pre1": ("succeeded", 1000, 0, 0)},
        {"capture:pre1": (1000, "ZAR")},
        {("merchant", "ZAR"): 1000},
    ),
    "a hold that is captured in part, and reported as a charge too": Documented(
        "paystack",
        [
            hold("reserve.success"),
            hold("capture.success", captured_amount="700", transaction={"id": "91", "reference": "pre1"}),
            {"event": "charge.success", "data": {"id": 91, "reference": "pre1", "amount": 700, "currency": "ZAR",
                                                 "domain": "live", "status": "success"}},
            {"event": "refund.processed", "data": {"transaction_reference": "pre1", "refund_reference": "r1",
                                                   "amount": "200", "currency": "ZAR", "domain": "live"}},
        ],
        {"pre1": ("partially_refunded", 700, 200, 0)},
        {"capture:pre1": (700, "ZAR"), "refund:r1": (200, "ZAR")},
        {("merchant", "ZAR"): 500},
    ),
    "a hold that is captured under another reference": Documented(
        "paystack",
        [
            hold("reserve.success"),
            hold("capture.success", captured_amount="700", transaction={"id": "91", "reference": "trx1"}),
            hold("release.success"),
            {"event": "charge.success", "data": {"id": 91, "reference": "trx1", "amount": 700, "currency": "ZAR",
                                                 "domain": "live", "status": "success"}},
        ],
        {"pre1": ("succeeded", 0, 0, 0), "trx1": ("succeeded", 700, 0, 0)},
        {"capture:trx1": (700, "ZAR")},
        {("merchant", "ZAR"): 700},
    ),
    "a hold that is released": Documented(
        "paystack",
        [hold("reserve.success"), hold("release.failed"), hold("release.success")],
        {"pre1": ("canceled", 0, 0, 0)},
        {},
    ),
}  # fmt: skip


def razorpay(type_: str, at: int, **members: dict[str, Any]) -> dict[str, Any]:
    return {"event": type_, "account_id": "acc_1", "contains": list(members), "created_at": 1_767_323_467 + at,
            "payload": {name: {"entity": entity} for name, entity in members.items()}}  # fmt: skip


def rupees(status: str = "captured", **more: Any) -> dict[str, Any]:
    return {"id": "pay_1", "amount": 1000, "currency": "INR", "status": status, "captured": True, **more}


def contested(status: str, deducted: int) -> dict[str, Any]:
    return {"id": "disp_1", "payment_id": "pay_1", "amount": 1000, "currency": "INR", "status": status,
            "amount_deducted": deducted}  # fmt: skip


RAZORPAY = {
    "deducted at the onset, then lost": Documented(
        "razorpay",
        [
            razorpay("payment.captured", 0, payment=rupees()),
            razorpay("payment.dispute.created", 1, payment=rupees(), dispute=contested("open", 1000)),
            razorpay("payment.dispute.under_review", 2, payment=rupees(), dispute=contested("under_review", 1000)),
            razorpay("payment.dispute.lost", 3, payment=rupees(), dispute=contested("lost", 1000)),
        ],
        {"pay_1": ("charged_back", 1000, 0, 1000)},
        {"capture:pay_1": (1000, "INR"), "dispute:disp_1": (1000, "INR")},
        {("merchant", "INR"): 1000, ("disputes", "INR"): -1000},
    ),
    "deducted at the onset, then won": Documented(
        "razorpay",
        [
            razorpay("payment.captured", 0, payment=rupees()),
            razorpay("payment.dispute.created", 1, payment=rupees(), dispute=contested("open", 1000)),
            razorpay("payment.dispute.won", 2, payment=rupees(), dispute=contested("won", 1000)),
        ],
        {"pay_1": ("succeeded", 1000, 0, 0)},
        {"capture:pay_1": (1000, "INR"), "dispute:disp_1": (1000, "INR"), "dispute_reinstated:disp_1": (1000, "INR")},
        {("merchant", "INR"): 1000},
    ),
    "won, and nothing was deducted": Documented(
        "razorpay",
        [
            razorpay("order.paid", 0, payment=rupees()),
            razorpay("payment.dispute.created", 1, payment=rupees(), dispute=contested("open", 0)),
            razorpay("payment.dispute.won", 2, payment=rupees(), dispute=contested("won", 0)),
        ],
        {"pay_1": ("succeeded", 1000, 0, 0)},
        {"capture:pay_1": (1000, "INR")},
        {("merchant", "INR"): 1000},
    ),
    "authorized late, and refunded automatically": Documented(
        "razorpay",
        [
            razorpay("payment.failed", 0, payment=rupees("failed", captured=False)),
            razorpay("payment.authorized", 1, payment=rupees("authorized", captured=False)),
            razorpay("refund.processed", 2, payment=rupees("refunded", captured=False),
                     refund={"id": "rfnd_1", "amount": 1000, "currency": "INR", "status": "processed"}),
        ],
        {"pay_1": ("canceled", 0, 0, 0)},
        {},
    ),
}  # fmt: skip


def paddle(*entities: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"event_id": f"evt_{number}", "notification_id": f"ntf_{number}", "event_type": type_,
         "occurred_at": f"2026-01-0{number + 1}T03:04:05Z", "data": data}
        for number, (type_, data) in enumerate(entities)
    ]  # fmt: skip


def adjustment(id_: str, action: str, status: str = "approved") -> dict[str, Any]:
    return {"id": id_, "action": action, "status": status, "transaction_id": "txn_1", "currency_code": "USD",
            "totals": {"total": "1000"}}  # fmt: skip


COMPLETED = ("transaction.completed", {"id": "txn_1", "currency_code": "USD", "details": {"totals": {
    "total": "1000", "credit": "0", "grand_total": "1000"}}})  # fmt: skip
CHARGED_BACK = ("adjustment.created", adjustment("adj_a", "chargeback"))
GIVEN_BACK = [
    ("adjustment.updated", adjustment("adj_a", "chargeback", "reversed")),
    ("adjustment.created", adjustment("adj_b", "chargeback_reverse")),
]
AGAIN = ("adjustment.created", adjustment("adj_c", "chargeback"))

PADDLE = {
    "a chargeback that is reversed": Documented(
        "paddle",
        paddle(COMPLETED, CHARGED_BACK, *GIVEN_BACK),
        {"txn_1": ("succeeded", 1000, 0, 0)},
        {"capture:txn_1": (1000, "USD"), "dispute:adj_a": (1000, "USD"), "dispute_reinstated:adj_b": (1000, "USD")},
        {("merchant", "USD"): 1000},
    ),
    "a chargeback that is reversed, and presented again": Documented(
        "paddle",
        paddle(COMPLETED, CHARGED_BACK, *GIVEN_BACK, AGAIN),
        {"txn_1": ("disputed", 1000, 0, 1000)},
        {"capture:txn_1": (1000, "USD"), "dispute:adj_a": (1000, "USD"), "dispute_reinstated:adj_b": (1000, "USD"),
         "dispute:adj_c": (1000, "USD")},
        {("merchant", "USD"): 1000, ("disputes", "USD"): -1000},
    ),
    "two chargebacks, both reversed": Documented(
        "paddle",
        paddle(COMPLETED, CHARGED_BACK, *GIVEN_BACK, AGAIN,
               ("adjustment.created", adjustment("adj_d", "chargeback_reverse"))),
        {"txn_1": ("succeeded", 1000, 0, 0)},
        {"capture:txn_1": (1000, "USD"), "dispute:adj_a": (1000, "USD"), "dispute_reinstated:adj_b": (1000, "USD"),
         "dispute:adj_c": (1000, "USD"), "dispute_reinstated:adj_d": (1000, "USD")},
        {("merchant", "USD"): 1000},
    ),
}  # fmt: skip
