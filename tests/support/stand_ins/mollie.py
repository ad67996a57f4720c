"""A stand-in of Mollie's API: payments with what is embedded in them, refunds and chargebacks.

Made from its OpenAPI and its reference. Its oddities: lists are from the newest to the oldest by creation and know no
time, `from` is the first object of the page, the next page is an absolute address or null, `_embedded` comes only where
it is asked for, a chargeback has neither mode nor status, a key of the other mode finds nothing, and a profile is
chosen by the key alone.
"""

from datetime import datetime
from typing import Any

from aiohttp import web

from tests.support.stand_ins.stand_in import StandIn

KEY = "live_" + "a" * 30
TEST_KEY = "test_" + "a" * 30
PROFILE = "pfl_85dxyKqNHa"

LIMIT_MAX = 250
EMBEDDED = ("captures", "refunds", "chargebacks")
OF = {"captures": "cpt", "refunds": "re", "chargebacks": "chb"}


def euros(value: str) -> dict[str, str]:
    """Return an amount as Mollie writes it."""
    return {"value": value, "currency": "EUR"}


def payment(id_: str, at: str = "2026-11-20T10:00:00+00:00", **more: Any) -> dict[str, Any]:
    """Return a payment that was paid at once, in the shape of `GET /v2/payments/{id}`."""
    return {
        "resource": "payment", "id": id_, "mode": "live", "createdAt": at, "amount": euros("29.95"),
        "description": "Order 7", "method": "ideal", "status": "paid", "profileId": PROFILE,
        "details": {"consumerName": "Jane Doe"}, "_links": {"self": {"href": f"https://api.mollie.com/v2/payments/{id_}"}},
        **more,
    }  # fmt: skip


def authorized_first(id_: str, at: str = "2026-11-20T10:00:00+00:00", **more: Any) -> dict[str, Any]:
    """Return a payment whose captures are objects of their own."""
    links = {"captures": {"href": f"https://api.mollie.com/v2/payments/{id_}/captures"}}
    return payment(id_, at, captureMode="manual", amountCaptured=euros("20.00"), _links=links, **more)


def part(id_: str, of: str, value: str, status: str | None, at: str = "2026-11-20T11:00:00+00:00") -> dict[str, Any]:
    """Return a capture, a refund or a chargeback (without a status) of a payment."""
    stated = {"mode": "live", "status": status} if status else {"reversedAt": None}
    return {"id": id_, "paymentId": of, "amount": euros(value), "createdAt": at, **stated}


class MollieStandIn(StandIn):
    """The API of one profile. `payments` are what it has by id, `parts` their captures, refunds and chargebacks."""

    def __init__(self) -> None:
        super().__init__()
        self.payments: dict[str, dict[str, Any]] = {}
        self.parts: list[dict[str, Any]] = []
        self.app.router.add_get("/v2/payments", self._payments)
        self.app.router.add_get("/v2/refunds", self._list_of("refunds"))
        self.app.router.add_get("/v2/chargebacks", self._list_of("chargebacks"))
        self.app.router.add_get("/v2/payments/{id}", self._payment)

    def add(self, *objects: dict[str, Any]) -> None:
        """Add payments, and captures, refunds and chargebacks."""
        for each in objects:
            if each["id"].startswith("tr_"):
                self.payments[each["id"]] = each
            else:
                self.parts.append(each)

    def refusal(self, request: web.Request) -> web.Response | None:
        if request.headers.get("Authorization") in (f"Bearer {KEY}", f"Bearer {TEST_KEY}"):
            return None
        return _error(401, "Unauthorized Request", "Missing authentication, or failed to authenticate")

    async def _payment(self, request: web.Request) -> web.Response:
        id_ = request.match_info["id"]
        found = self.payments.get(id_)
        if found is None or not _is_of_the_key(found, request):
            return _error(404, "Not Found", f"No payment exists with token {id_}.")
        wanted = [name for name in request.query.get("embed", "").split(",") if name]
        if not set(wanted) <= set(EMBEDDED):
            return _error(400, "Bad Request", "Invalid include")
        embedded = {name: [each for each in self._of(name) if each["paymentId"] == id_] for name in wanted}
        return _hal({**found, "_embedded": embedded} if wanted else found)

    async def _payments(self, request: web.Request) -> web.Response:
        return self._page(
            "payments", [each for each in self.payments.values() if _is_of_the_key(each, request)], request
        )

    def _list_of(self, name: str) -> Any:
        async def answer(request: web.Request) -> web.Response:
            return self._page(name, self._of(name), request)

        return answer

    def _of(self, name: str) -> list[dict[str, Any]]:
        return [each for each in self.parts if each["id"].startswith(f"{OF[name]}_")]

    def _page(self, name: str, found: list[dict[str, Any]], request: web.Request) -> web.Response:
        limit = int(request.query.get("limit", "50"))
        if not 1 <= limit <= LIMIT_MAX:
            return _error(400, "Bad Request", "Invalid limit")
        found = sorted(found, key=lambda each: datetime.fromisoformat(each["createdAt"]), reverse=True)
        ids = [each["id"] for each in found]
        begin = request.query.get("from")
        if begin is not None and begin not in ids:
            return _error(400, "Bad Request", "Invalid cursor value")
        first = ids.index(begin) if begin else 0
        page, following = found[first : first + limit], ids[first + limit : first + limit + 1]
        address = f"{self.url}/v2/{name}?from={following[0]}&limit={limit}" if following else None
        links = {"next": {"href": address, "type": "application/hal+json"} if address else None, "previous": None}
        return _hal({"count": len(page), "_embedded": {name: page}, "_links": links})


def _is_of_the_key(found: dict[str, Any], request: web.Request) -> bool:
    return bool(found["mode"] == request.headers["Authorization"].removeprefix("Bearer ")[:4])


def _hal(value: dict[str, Any]) -> web.Response:
    return web.json_response(value, content_type="application/hal+json")


def _error(status: int, title: str, detail: str) -> web.Response:
    return web.json_response(
        {"status": status, "title": title, "detail": detail}, status=status, content_type="application/hal+json"
    )
