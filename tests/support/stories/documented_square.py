"""Stories of Square: what it never held, refunds that are rejected, holds that end."""

from typing import Any

from tests.support.stories.documented import Documented


def square(kind: str, type_: str, *objects: dict[str, Any], first: int = 0) -> list[dict[str, Any]]:
    """Return events of Square about the states of one object."""
    return [
        {"merchant_id": "ML", "type": type_, "event_id": f"sq_{type_}_{number}", "created_at": "2026-01-02T03:04:05Z",
         "data": {"type": kind, "id": object_["id"], "object": {kind: object_}}}
        for number, object_ in enumerate(objects, first)
    ]  # fmt: skip


def usd(amount: int | None) -> dict[str, Any]:
    return {"currency": "USD"} | ({} if amount is None else {"amount": amount})


def payment(status: str, amount: int = 1000, refunded: int | None = None, source: str = "CARD") -> dict[str, Any]:
    return {"id": "qp1", "status": status, "source_type": source, "amount_money": usd(amount),
            "total_money": usd(amount), "tip_money": usd(None), "refunded_money": usd(refunded)}  # fmt: skip


def refund(status: str, amount: int = 1000, id_: str = "qp1_r1", to: str = "CARD") -> dict[str, Any]:
    return {"id": id_, "payment_id": "qp1", "status": status, "amount_money": usd(amount), "destination_type": to}


SQUARE = {
    "cash that Square never held": Documented(
        "square",
        square("payment", "payment.created", payment("COMPLETED", source="CASH")),
        {"qp1": ("succeeded", 1000, 0, 0)},
        {},
    ),
    "a check, of which a part is given back outside Square": Documented(
        "square",
        [
            *square("payment", "payment.created", payment("COMPLETED", source="EXTERNAL")),
            *square("refund", "refund.updated", refund("COMPLETED", 300, to="EXTERNAL")),
            *square("payment", "payment.updated", payment("COMPLETED", 1000, 300, "EXTERNAL")),
        ],
        {"qp1": ("partially_refunded", 1000, 300, 0)},
        {},
    ),
    "a refund that is rejected after it was counted": Documented(
        "square",
        [
            *square("payment", "payment.updated", payment("COMPLETED"), payment("COMPLETED", 1000, 1000),
                    payment("COMPLETED", 1000, 0)),
            *square("refund", "refund.updated", refund("PENDING"), refund("REJECTED")),
        ],
        {"qp1": ("succeeded", 1000, 0, 0)},
        {"capture:qp1": (1000, "USD"), "refund:qp1_r1": (1000, "USD"), "refund_failed:qp1_r1": (1000, "USD")},
        {("merchant", "USD"): 1000},
    ),
    "one refund is rejected, another succeeds": Documented(
        "square",
        [
            *square("payment", "payment.updated", payment("COMPLETED"), payment("COMPLETED", 1000, 700),
                    payment("COMPLETED", 1000, 300)),
            *square("refund", "refund.updated", refund("REJECTED", 400), refund("COMPLETED", 300, "qp1_r2")),
        ],
        {"qp1": ("partially_refunded", 1000, 300, 0)},
        {"capture:qp1": (1000, "USD"), "refund:qp1_r1": (400, "USD"), "refund_failed:qp1_r1": (400, "USD"),
         "refund:qp1_r2": (300, "USD")},
        {("merchant", "USD"): 700},
    ),
    "held, then captured in part": Documented(
        "square",
        square("payment", "payment.updated", payment("APPROVED"), payment("APPROVED", 700), payment("COMPLETED", 700)),
        {"qp1": ("succeeded", 700, 0, 0)},
        {"capture:qp1": (700, "USD")},
        {("merchant", "USD"): 700},
    ),
    "held, then canceled": Documented(
        "square",
        square("payment", "payment.updated", payment("APPROVED"), payment("CANCELED")),
        {"qp1": ("canceled", 0, 0, 0)},
        {},
    ),
}  # fmt: skip
