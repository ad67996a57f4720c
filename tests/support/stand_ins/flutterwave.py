"""Flutterwave's API, version 3: transactions, refunds and balances, in pages whose number may grow while one reads."""

import json
from datetime import date, datetime, timedelta, timezone
from typing import Any

from aiohttp import web

from tests.support.stand_ins.stand_in import StandIn

KEY = "FLWSECK_TEST-of-the-stand-in-X"
ZONE = timezone(timedelta(hours=1))
"""In which its days begin and end, which nobody documents."""


class FlutterwaveV3(StandIn):
    """The API of one account. What is made last is listed first. `arriving` are added one by one, after each page."""

    page_size = 10

    def __init__(self) -> None:
        super().__init__()
        self.transactions: list[dict[str, Any]] = []
        self.refunds: list[dict[str, Any]] = []
        self.arriving: list[dict[str, Any]] = []
        get = self.app.router.add_get
        get("/v3/balances", self._balances)
        get("/v3/transactions", self._list_transactions)
        get("/v3/transactions/verify_by_reference", self._by_reference)
        get("/v3/transactions/{id}/verify", self._by_id)
        get("/v3/refunds", self._list_refunds)

    def refusal(self, request: web.Request) -> web.Response | None:
        """Accept the secret key."""
        if request.headers.get("Authorization") == f"Bearer {KEY}":
            return None
        return web.json_response({"status": "error", "message": "Authorization required", "data": None}, status=401)

    def has_transaction(
        self, id_: int, tx_ref: str, amount: object, status: str = "successful", at: str = "2026-09-17T10:00:00.000Z",
        currency: str = "NGN",
    ) -> dict[str, Any]:  # fmt: skip
        """Keep a transaction, and return it."""
        made = {
            "id": id_, "tx_ref": tx_ref, "flw_ref": f"FLW{id_}", "amount": amount, "currency": currency,
            "charged_amount": amount, "app_fee": 1.4, "status": status, "payment_type": "card", "created_at": at,
            "account_id": 17321, "card": {"token": "flw-t1nf-secret-token"}, "customer": {"email": "jane@example.com"},
        }  # fmt: skip
        self.transactions.append(made)
        return made

    def has_refund(
        self, id_: int, transaction: int, amount: object, status: str = "completed",
        at: str = "2026-09-17T10:30:00.000Z",
    ) -> dict[str, Any]:  # fmt: skip
        """Keep a refund, which names no currency, and return it."""
        made = {"id": id_, "account_id": 17321, "tx_id": transaction, "amount_refunded": amount, "status": status,
                "destination": "payment_source", "created_at": at}  # fmt: skip
        self.refunds.append(made)
        return made

    async def _balances(self, _: web.Request) -> web.Response:
        balances = [{"currency": each, "available_balance": 12.5, "ledger_balance": 0} for each in ("NGN", "KES")]
        return _answered(balances)

    async def _by_id(self, request: web.Request) -> web.Response:
        return self._one([each for each in self.transactions if str(each["id"]) == request.match_info["id"]])

    async def _by_reference(self, request: web.Request) -> web.Response:
        return self._one([each for each in self.transactions if each["tx_ref"] == request.query["tx_ref"]])

    def _one(self, found: list[dict[str, Any]]) -> web.Response:
        if not found:
            answer = {"status": "error", "message": "No transaction was found for this id", "data": None}
            return web.json_response(answer, status=400)
        return _answered(found[-1])

    async def _list_transactions(self, request: web.Request) -> web.Response:
        items = [{**each, "id": str(each["id"]), "customer_email": "jane@example.com"} for each in self.transactions]
        answer = self._page(request, items)
        if self.arriving:
            self.transactions.append(self.arriving.pop(0))
        return answer

    async def _list_refunds(self, request: web.Request) -> web.Response:
        transaction = request.query.get("id")
        return self._page(request, [each for each in self.refunds if transaction in (None, str(each["tx_id"]))])

    def _page(self, request: web.Request, items: list[dict[str, Any]]) -> web.Response:
        """Return a page of what was made on these days, whose last one belongs to the list."""
        query, size = request.query, self.page_size
        first = date.fromisoformat(query.get("from", "0001-01-01"))
        last = date.fromisoformat(query.get("to", "9999-12-31"))
        days = [datetime.fromisoformat(each["created_at"]).astimezone(ZONE).date() for each in items]
        made = [item for item, day in zip(items, days, strict=True) if first <= day <= last][::-1]
        number = int(query.get("page", "1"))
        info = {"total": len(made), "current_page": number, "total_pages": -(-len(made) // size)}
        return _answered(made[(number - 1) * size : number * size], {"page_info": info})


def _answered(data: object, meta: object = None) -> web.Response:
    answer = {"status": "success", "message": "Fetched", **({"meta": meta} if meta else {}), "data": data}
    return web.Response(body=json.dumps(answer).encode(), content_type="application/json")
