"""Stories of PayPal: holds that end, refunds that wait, disputes of several transactions."""

from typing import Any

from tests.support.stories.documented import Documented


def event(number: int, type_: str, resource: dict[str, Any], kind: str = "capture") -> dict[str, Any]:
    return {"id": f"WH-{number}", "event_type": type_, "resource_type": kind, "resource": resource,
            "create_time": f"2026-03-0{number + 1}T09:14:27Z"}  # fmt: skip


def usd(value: str) -> dict[str, str]:
    return {"currency_code": "USD", "value": value}


def capture(id_: str = "CAP1", status: str = "COMPLETED", value: str = "10.00") -> dict[str, Any]:
    return {"id": id_, "status": status, "amount": usd(value)}


def refund(status: str, value: str, total: str | None = None, id_: str = "REF1") -> dict[str, Any]:
    breakdown = {"total_refunded_amount": usd(total)} if total else {}
    return {"id": id_, "status": status, "amount": usd(value), "seller_payable_breakdown": breakdown,
            "links": [{"rel": "up", "href": "https://api.paypal.com/v2/payments/captures/CAP1"}]}  # fmt: skip


def dispute(status: str, value: str, *transactions: tuple[str, str], outcome: str = "") -> dict[str, Any]:
    disputed = [{"seller_transaction_id": id_, "gross_amount": usd(gross)} for id_, gross in transactions]
    return {"dispute_id": "PP-D-1", "dispute_amount": usd(value), "status": status, "disputed_transactions": disputed,
            "dispute_outcome": {"outcome_code": outcome}}  # fmt: skip


BOTH = (("CAP1", "10.00"), ("CAP2", "4.00"))

PAYPAL = {
    "a hold that is voided": Documented(
        "paypal",
        [
            event(0, "PAYMENT.AUTHORIZATION.CREATED", capture("AUTH1", "CREATED"), "authorization"),
            event(1, "PAYMENT.AUTHORIZATION.VOIDED", capture("AUTH1", "VOIDED"), "authorization"),
        ],
        {"AUTH1": ("canceled", 0, 0, 0)},
        {},
    ),
    "a capture under review that is denied": Documented(
        "paypal",
        [
            event(0, "PAYMENT.CAPTURE.PENDING", capture(status="PENDING")),
            event(1, "PAYMENT.CAPTURE.DENIED", capture(status="DECLINED")),
        ],
        {"CAP1": ("failed", 0, 0, 0)},
        {},
    ),
    "refunds that add up, one of which waited": Documented(
        "paypal",
        [
            event(0, "PAYMENT.CAPTURE.COMPLETED", capture()),
            event(1, "PAYMENT.REFUND.PENDING", refund("PENDING", "2.00"), "refund"),
            event(2, "PAYMENT.CAPTURE.REFUNDED", refund("COMPLETED", "2.00", "2.00"), "refund"),
            event(3, "PAYMENT.REFUND.COMPLETED", refund("COMPLETED", "2.00", "2.00"), "refund"),
            event(4, "PAYMENT.CAPTURE.REFUNDED", refund("COMPLETED", "3.00", "5.00", "REF2"), "refund"),
        ],
        {"CAP1": ("partially_refunded", 1000, 500, 0)},
        {"capture:CAP1": (1000, "USD"), "refund:REF1": (200, "USD"), "refund:REF2": (300, "USD")},
        {("merchant", "USD"): 500},
    ),
    "a dispute of two payments that the seller wins": Documented(
        "paypal",
        [
            event(0, "PAYMENT.CAPTURE.COMPLETED", capture()),
            event(1, "PAYMENT.CAPTURE.COMPLETED", capture("CAP2", value="4.00")),
            event(2, "CUSTOMER.DISPUTE.CREATED", dispute("OPEN", "14.00", *BOTH), "dispute"),
            event(3, "CUSTOMER.DISPUTE.RESOLVED",
                  dispute("RESOLVED", "14.00", *BOTH, outcome="RESOLVED_SELLER_FAVOUR"), "dispute"),
        ],
        {"CAP1": ("succeeded", 1000, 0, 0), "CAP2": ("succeeded", 400, 0, 0)},
        {"capture:CAP1": (1000, "USD"), "capture:CAP2": (400, "USD")},
        {("merchant", "USD"): 1400},
    ),
    "a dispute whose payments are listed in another order, and first without one of them": Documented(
        "paypal",
        [
            event(0, "PAYMENT.CAPTURE.COMPLETED", capture()),
            event(1, "PAYMENT.CAPTURE.COMPLETED", capture("CAP2", value="4.00")),
            event(2, "CUSTOMER.DISPUTE.CREATED", dispute("OPEN", "4.00", BOTH[1]), "dispute"),
            event(3, "CUSTOMER.DISPUTE.UPDATED", dispute("OPEN", "14.00", *BOTH), "dispute"),
            event(4, "CUSTOMER.DISPUTE.RESOLVED",
                  dispute("RESOLVED", "14.00", *reversed(BOTH), outcome="RESOLVED_SELLER_FAVOUR"), "dispute"),
        ],
        {"CAP1": ("succeeded", 1000, 0, 0), "CAP2": ("succeeded", 400, 0, 0)},
        {"capture:CAP1": (1000, "USD"), "capture:CAP2": (400, "USD")},
        {("merchant", "USD"): 1400},
    ),
    "a dispute of two payments that is open": Documented(
        "paypal",
        [
            event(0, "PAYMENT.CAPTURE.COMPLETED", capture()),
            event(1, "PAYMENT.CAPTURE.COMPLETED", capture("CAP2", value="4.00")),
            event(2, "CUSTOMER.DISPUTE.CREATED", dispute("OPEN", "14.00", *BOTH), "dispute"),
            event(3, "CUSTOMER.DISPUTE.UPDATED", dispute("UNDER_REVIEW", "14.00", *BOTH), "dispute"),
        ],
        {"CAP1": ("disputed", 1000, 0, 1000), "CAP2": ("disputed", 400, 0, 400)},
        {"capture:CAP1": (1000, "USD"), "capture:CAP2": (400, "USD")},
        {("merchant", "USD"): 1400},
    ),
    "a dispute that is lost, and paid by a reversal": Documented(
        "paypal",
        [
            event(0, "PAYMENT.CAPTURE.COMPLETED", capture()),
            event(1, "CUSTOMER.DISPUTE.CREATED", dispute("OPEN", "10.00", ("CAP1", "10.00")), "dispute"),
            event(2, "PAYMENT.CAPTURE.REVERSED", refund("COMPLETED", "10.00"), "refund"),
            event(3, "CUSTOMER.DISPUTE.RESOLVED",
                  dispute("RESOLVED", "10.00", ("CAP1", "10.00"), outcome="RESOLVED_BUYER_FAVOUR"), "dispute"),
        ],
        {"CAP1": ("charged_back", 1000, 1000, 1000)},
        {"capture:CAP1": (1000, "USD"), "refund:REF1": (1000, "USD")},
    ),
}  # fmt: skip
