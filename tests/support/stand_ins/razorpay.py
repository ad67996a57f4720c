"""A stand-in of Razorpay's API, from razorpay.com/docs/api: lists by time and skip, 400 for an unknown id."""

import base64
from collections.abc import Callable
from typing import Any

from aiohttp import web

from tests.support.stand_ins.stand_in import StandIn

TIME_MIN_S, TIME_MAX_S = 946_684_800, 4_765_046_400
COUNT, COUNT_MAX = 10, 100

Entity = dict[str, Any]


def error(description: str, status: int = 400) -> web.Response:
    about = {"source": "business", "step": "payment_initiation", "reason": "input_validation_failed", "metadata": {}}
    return web.json_response(
        {"error": {"code": "BAD_REQUEST_ERROR", "description": description, **about}}, status=status
    )


class RazorpayStandIn(StandIn):
    """One account. `after_list` is called after each list was answered, so that it may change meanwhile."""

    def __init__(self, key_id: str = "rzp_test_abcdefghijklmn", key_secret: str = "a_secret") -> None:
        super().__init__()
        self.key_id, self.key_secret = key_id, key_secret
        self.payments: dict[str, Entity] = {}
        self.refunds: dict[str, Entity] = {}
        self.disputes: dict[str, Entity] = {}
        self.after_list: Callable[[], None] = lambda: None
        for name in ("payments", "refunds", "disputes"):
            self.app.router.add_get(f"/v1/{name}", self._list)
            self.app.router.add_get(f"/v1/{name}/{{id}}", self._one)
        self.app.router.add_get("/v1/payments/{payment_id}/refunds", self._list)

    def refusal(self, request: web.Request) -> web.Response | None:
        pair = base64.b64encode(f"{self.key_id}:{self.key_secret}".encode()).decode()
        if request.headers.get("Authorization") == f"Basic {pair}":
            return None
        return error("The api key provided is invalid", 401)

    def add_payment(self, id_: str, created_at: int, **members: Any) -> Entity:
        """Add a captured payment of 1000 paise, or what `members` say."""
        payment = {
            "id": id_, "entity": "payment", "amount": 1000, "currency": "INR", "status": "captured", "captured": True,
            "amount_refunded": 0, "refund_status": None, "notes": [], "fee": 20, "tax": 0, "email": "jane@example.com",
            "created_at": created_at, **members,
        }  # fmt: skip
        self.payments[id_] = payment
        return payment

    def add_refund(self, id_: str, payment_id: str, created_at: int, **members: Any) -> Entity:
        refund = {
            "id": id_, "entity": "refund", "amount": 400, "currency": "INR", "payment_id": payment_id, "notes": [],
            "receipt": None, "status": "processed", "created_at": created_at, **members,
        }  # fmt: skip
        self.refunds[id_] = refund
        return refund

    def add_dispute(self, id_: str, payment_id: str, created_at: int, **members: Any) -> Entity:
        dispute = {
            "id": id_, "entity": "dispute", "payment_id": payment_id, "amount": 1000, "currency": "INR",
            "amount_deducted": 0, "status": "open", "phase": "chargeback", "created_at": created_at, **members,
        }  # fmt: skip
        self.disputes[id_] = dispute
        return dispute

    async def _one(self, request: web.Request) -> web.Response:
        kind = request.path.split("/")[2]
        entity = getattr(self, kind).get(request.match_info["id"])
        return web.json_response(entity) if entity else error("The id provided does not exist")

    async def _list(self, request: web.Request) -> web.Response:
        kind, of_payment = request.path.rsplit("/", 1)[-1], request.match_info.get("payment_id")
        query = request.query
        if kind == "disputes" and not set(query) <= {"count", "skip", "expand[]"}:
            return web.json_response({"status_code": 400, "success": False, "errors": ["no such field"]}, status=400)
        for name in ("from", "to"):
            if not TIME_MIN_S <= int(query.get(name, TIME_MIN_S)) <= TIME_MAX_S:
                return error(f"{name} must be between {TIME_MIN_S} and {TIME_MAX_S}")
        count = int(query.get("count", COUNT))
        if not 0 < count <= COUNT_MAX:
            return error("The count must be between 1 and 100")
        since, until = int(query.get("from", 0)), int(query.get("to", TIME_MAX_S))
        newest_first = sorted(getattr(self, kind).values(), key=lambda each: -each["created_at"])
        matching = [
            each for each in newest_first
            if since < each["created_at"] < until and of_payment in (None, each.get("payment_id"))
        ]  # fmt: skip
        skip = int(query.get("skip", 0))
        items = matching[skip : skip + count]
        self.after_list()
        return web.json_response({"entity": "collection", "count": len(items), "items": items})
