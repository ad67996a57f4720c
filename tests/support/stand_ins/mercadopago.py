"""A stand-in of Mercado Pago's API: payments, refunds, chargebacks, orders and the account.

Made from the reference on mercadopago.com/developers. Its oddities: ids are numbers in payments and text elsewhere,
amounts are numbers in payments and text in orders, numbers of pages of orders are text, both ends of a search belong to
it, a search is by offset and moves while a payment changes, payments of other accounts are found and refused, and
orders refuse test credentials.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from aiohttp import web

from tests.support.stand_ins.stand_in import StandIn

ACCOUNT = "448876418"
TOKEN = f"APP_USR-1234567890123456-112610-0123456789abcdef0123456789abcdef-{ACCOUNT}"
TEST_TOKEN = TOKEN.replace("APP_USR", "TEST")

OFFSET_MAX = 10_000
ORDERS_DAYS_MAX = 30


def payment(id_: int, at: str = "2026-11-20T10:00:00.000-04:00", **more: Any) -> dict[str, Any]:
    """Return a payment that was approved, in the shape of `GET /v1/payments/{id}`."""
    return {
        "id": id_, "date_created": at, "date_last_updated": at, "operation_type": "regular_payment",
        "status": "approved", "status_detail": "accredited", "currency_id": "BRL", "live_mode": True,
        "collector_id": int(ACCOUNT), "transaction_amount": 58.8, "transaction_amount_refunded": 0, "captured": True,
        "payer": {"id": "9", "email": "jane@example.com"}, "order": {}, "refunds": [], **more,
    }  # fmt: skip


def refund(id_: int, of: int, amount: float, status: str = "approved") -> dict[str, Any]:
    """Return a refund, in the shape of `GET /v1/payments/{id}/refunds`."""
    return {"id": id_, "payment_id": of, "amount": amount, "status": status, "reason": None}


def chargeback(id_: str, of: int, amount: float, *, covered: bool | None = None) -> dict[str, Any]:
    """Return a chargeback, in the shape of `GET /v1/chargebacks/{id}`."""
    return {"id": id_, "payments": [of], "currency": "BRL", "amount": amount, "coverage_applied": covered,
            "documentation": [], "live_mode": True}  # fmt: skip


def order(number: int, at: str = "2026-11-20T10:00:00.045317772Z", **more: Any) -> dict[str, Any]:
    """Return a paid order, in the shape of `GET /v1/orders/{id}`."""
    paid = {"id": f"PAY{number:026d}", "amount": "50.00", "paid_amount": "50.00", "status": "processed"}
    return {
        "id": f"ORD{number:026d}", "type": "online", "total_amount": "50.00", "total_paid_amount": "50.00",
        "country_code": "BRA", "user_id": ACCOUNT, "status": "processed", "status_detail": "accredited",
        "created_date": at, "last_updated_date": at,
        "transactions": {"payments": [paid], "refunds": [], "chargebacks": []}, **more,
    }  # fmt: skip


def _error(status: int, text: str, code: int) -> web.Response:
    cause = [{"code": code, "description": text}]
    return web.json_response({"message": text, "error": "error", "status": status, "cause": cause}, status=status)


class MercadoPagoStandIn(StandIn):
    """The API of one account. `payments` and the others are what it has; `moves` is called before each search."""

    def __init__(self) -> None:
        super().__init__()
        self.payments: dict[int, dict[str, Any]] = {}
        self.refunds: list[dict[str, Any]] = []
        self.chargebacks: list[dict[str, Any]] = []
        self.orders: dict[str, dict[str, Any]] = {}
        self.site = "MLB"
        self.moves: Callable[[Mapping[str, str]], None] = lambda _query: None
        self.app.router.add_get("/users/me", self._me)
        self.app.router.add_get("/v1/payments/search", self._search)
        self.app.router.add_get("/v1/payments/{id}", self._payment)
        self.app.router.add_get("/v1/payments/{id}/refunds", self._refunds)
        self.app.router.add_get("/v1/chargebacks/search", self._chargebacks)
        self.app.router.add_get("/v1/chargebacks/{id}", self._chargeback)
        self.app.router.add_get("/v1/orders", self._orders)
        self.app.router.add_get("/v1/orders/{id}", self._order)

    def add(self, *objects: dict[str, Any]) -> None:
        """Add payments and orders."""
        for each in objects:
            if isinstance(each["id"], int):
                self.payments[each["id"]] = each
            else:
                self.orders[each["id"]] = each

    def refusal(self, request: web.Request) -> web.Response | None:
        if request.headers.get("Authorization") not in (f"Bearer {TOKEN}", f"Bearer {TEST_TOKEN}"):
            return _error(401, "invalid access token", 401)
        if TEST_TOKEN in request.headers["Authorization"] and request.path.startswith("/v1/orders"):
            error = {"code": "invalid_credentials", "message": "There is no support for test credentials."}
            return web.json_response({"errors": [error]}, status=401)
        return None

    async def _me(self, _: web.Request) -> web.Response:
        return web.json_response({"id": int(ACCOUNT), "nickname": "SHOP", "country_id": "BR", "site_id": self.site})

    async def _payment(self, request: web.Request) -> web.Response:
        found = self.payments.get(int(request.match_info["id"]))
        return web.json_response(found) if found else _error(404, "Payment not found", 2000)

    async def _refunds(self, request: web.Request) -> web.Response:
        of = int(request.match_info["id"])
        return web.json_response([each for each in self.refunds if each["payment_id"] == of])

    async def _chargeback(self, request: web.Request) -> web.Response:
        found = [each for each in self.chargebacks if each["id"] == request.match_info["id"]]
        return web.json_response(found[0]) if found else _error(404, "Chargeback not found", 2000)

    async def _chargebacks(self, request: web.Request) -> web.Response:
        of = int(request.query["payment_id"])
        found = [each for each in self.chargebacks if of in each["payments"]]
        return web.json_response({"paging": {"total": len(found), "limit": 30, "offset": 0}, "results": found})

    async def _search(self, request: web.Request) -> web.Response:
        query = request.query
        self.moves(query)
        name, offset, limit = query["range"], int(query["offset"]), int(query["limit"])
        if offset > OFFSET_MAX or limit > 1000:
            return _error(400, "Number of rows exceeded the limits", 1000)
        found = sorted(
            (each for each in self.payments.values() if _is_between(each[name], query)),
            key=lambda each: (datetime.fromisoformat(each[query["sort"]]), each["id"]),
            reverse=query["criteria"] == "desc",
        )
        paging = {"total": len(found), "limit": limit, "offset": offset}
        return web.json_response({"paging": paging, "results": found[offset : offset + limit]})

    async def _orders(self, request: web.Request) -> web.Response:
        query = request.query
        begin, end = (datetime.fromisoformat(query[name]) for name in ("begin_date", "end_date"))
        if (end - begin).days > ORDERS_DAYS_MAX or int(query["page_size"]) > 100:
            return web.json_response({"errors": [{"code": "invalid_parameter", "message": "a range"}]}, status=400)
        found = [each for each in self.orders.values() if _is_between(each["created_date"], query)]
        found.sort(key=lambda each: each["created_date"])
        size, first = int(query["page_size"]), (int(query["page"]) - 1) * int(query["page_size"])
        named = ("id", "status", "status_detail", "total_amount")
        return web.json_response(
            {
                "data": [{name: each[name] for name in named} for each in found[first : first + size]],
                "paging": {"total": str(len(found)), "total_pages": str(-(-len(found) // size)), "offset": str(first)},
            }
        )

    async def _order(self, request: web.Request) -> web.Response:
        if found := self.orders.get(request.match_info["id"]):
            return web.json_response(found)
        error = {"code": "order_not_found", "message": "Order not found"}
        return web.json_response({"errors": [error]}, status=404)


def _is_between(text: str, query: Mapping[str, str]) -> bool:
    begin, end = (datetime.fromisoformat(query[name]) for name in ("begin_date", "end_date"))
    return begin <= datetime.fromisoformat(text) <= end
