"""A stand-in of Paystack's API, from paystack.com/docs/api: a cursor for transactions, numbered pages for the rest."""

import base64
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from tests.support.stand_ins.stand_in import StandIn

PAGE_DEFAULT, PAGE_MAX = 50, 100

Entity = dict[str, Any]


def iso(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def shown(entity: Entity) -> Entity:
    """Return an object as it is answered: without our own time of it."""
    known = {name: shown(value) if name == "transaction" and isinstance(value, dict) else value
             for name, value in entity.items()}  # fmt: skip
    return {name: value for name, value in known.items() if name != "created_s"}


def error(message: str, http_status: int, **members: object) -> web.Response:
    return web.json_response({"status": False, "message": message, **members}, status=http_status)


class PaystackStandIn(StandIn):
    """One integration in test mode.

    `has_refund_meta`, `filters_refunds` and `has_cursor`: what is documented in two ways, or not.
    """

    def __init__(self, secret_key: str = "sk_test_0123456789abcdef") -> None:
        super().__init__()
        self.secret_key = secret_key
        self.transactions: dict[int, Entity] = {}
        self.refunds: dict[int, Entity] = {}
        self.disputes: dict[int, Entity] = {}
        self.has_refund_meta = self.filters_refunds = self.has_cursor = True
        self.page_max = PAGE_MAX
        for end in ("", "/"):
            self.app.router.add_get(f"/transaction{end}", self._transactions)
            self.app.router.add_get(f"/refund{end}", self._refunds)
            self.app.router.add_get(f"/dispute{end}", self._disputes)
        self.app.router.add_get("/transaction/verify/{reference}", self._verify)
        self.app.router.add_get("/transaction/{id}", self._transaction)

    def refusal(self, request: web.Request) -> web.Response | None:
        if request.headers.get("Authorization") == f"Bearer {self.secret_key}":
            return None
        return error("Invalid key", 401)

    def add_transaction(self, id_: int, reference: str, created_s: int, **members: Any) -> Entity:
        """Add a successful transaction of 40 333 hundredths of a naira, or what `members` say."""
        transaction = {
            "id": id_, "domain": "test", "status": "success", "reference": reference, "amount": 40333, "message": None,
            "gateway_response": "Successful", "paid_at": iso(created_s + 38), "created_at": iso(created_s),
            "channel": "card", "currency": "NGN", "metadata": None, "fees": 605, "requested_amount": 40333,
            "customer": {"id": 1, "email": "jane@example.com"}, "plan": {}, "paidAt": iso(created_s + 38),
            "createdAt": iso(created_s), "created_s": created_s, **members,
        }  # fmt: skip
        self.transactions[id_] = transaction
        return transaction

    def add_refund(self, id_: int, transaction: int, created_s: int, **members: Any) -> Entity:
        refund = {
            "id": id_, "integration": 7, "domain": "test", "transaction": transaction, "dispute": None, "amount": 10000,
            "currency": "NGN", "channel": "card", "fully_deducted": 1, "refunded_by": "jane@example.com",
            "createdAt": iso(created_s), "status": "processed", "created_s": created_s, **members,
        }  # fmt: skip
        self.refunds[id_] = refund
        return refund

    def add_dispute(self, id_: int, transaction: int, created_s: int, **members: Any) -> Entity:
        about = self.transactions[transaction]
        dispute = {
            "id": id_, "refund_amount": None, "currency": None, "status": "awaiting-merchant-feedback",
            "resolution": None, "domain": "test", "transaction": about, "transaction_reference": None,
            "createdAt": iso(created_s), "created_s": created_s, **members,
        }  # fmt: skip
        self.disputes[id_] = dispute
        return dispute

    async def _verify(self, request: web.Request) -> web.Response:
        reference = request.match_info["reference"]
        found = [each for each in self.transactions.values() if each["reference"] == reference]
        if not found:
            return error("Transaction reference not found.", 400, type="validation_error", code="transaction_not_found")
        return web.json_response({"status": True, "message": "Verification successful", "data": shown(found[0])})

    async def _transaction(self, request: web.Request) -> web.Response:
        found = self.transactions.get(int(request.match_info["id"]))
        if found is None:
            return error("Entity not found", 404)
        return web.json_response({"status": True, "message": "Transaction retrieved", "data": shown(found)})

    async def _transactions(self, request: web.Request) -> web.Response:
        """Page by a cursor, which is base64 of the last id, or the text "null" at the end."""
        matching = [
            each for each in self._in_time(self.transactions, request)
            if request.query.get("status") in (None, each["status"])
        ]  # fmt: skip
        size = self._size(request)
        if request.query.get("use_cursor") != "true" or not self.has_cursor:
            return self._numbered(request, matching, has_meta=True)
        if cursor := request.query.get("next"):
            last = int(base64.b64decode(cursor).decode().removeprefix("undefined:"))
            matching = [each for each in matching if each["id"] < last]
        data = matching[:size]
        more = len(matching) > size
        next_ = base64.b64encode(f"undefined:{data[-1]['id']}".encode()).decode() if more else "null"
        meta = {"next": next_, "previous": None, "perPage": size}
        return web.json_response(
            {"status": True, "message": "Transactions retrieved", "data": [*map(shown, data)], "meta": meta}
        )

    async def _refunds(self, request: web.Request) -> web.Response:
        wanted = request.query.get("transaction") if self.filters_refunds else None
        matching = [
            each for each in self._in_time(self.refunds, request) if wanted in (None, str(each["transaction"]))
        ]  # fmt: skip
        return self._numbered(request, matching, has_meta=self.has_refund_meta)

    async def _disputes(self, request: web.Request) -> web.Response:
        wanted = request.query.get("transaction")
        matching = [
            each for each in self._in_time(self.disputes, request)
            if wanted in (None, str(each["transaction"]["id"]))
        ]  # fmt: skip
        return self._numbered(request, matching, has_meta=True)

    def _in_time(self, entities: dict[int, Entity], request: web.Request) -> list[Entity]:
        since, until = (
            datetime.fromisoformat(request.query[name]).timestamp() if name in request.query else end
            for name, end in (("from", 0.0), ("to", 1e11))
        )
        newest_first = sorted(entities.values(), key=lambda each: -each["id"])
        return [each for each in newest_first if since < each["created_s"] < until]

    def _size(self, request: web.Request) -> int:
        return min(int(request.query.get("perPage", PAGE_DEFAULT)), self.page_max)

    def _numbered(self, request: web.Request, matching: list[Entity], *, has_meta: bool) -> web.Response:
        page, size = int(request.query.get("page", 1)), self._size(request)
        answer: dict[str, Any] = {"status": True, "message": "Retrieved"}
        answer["data"] = [*map(shown, matching[(page - 1) * size : page * size])]
        if has_meta:
            count = -(-len(matching) // size)
            answer["meta"] = {"total": len(matching), "perPage": str(size), "page": page, "pageCount": count}
        return web.json_response(answer)
