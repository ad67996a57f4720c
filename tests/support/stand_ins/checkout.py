"""A stand-in of Checkout.com's API: the search of payments, the list of disputes, and the events of each."""

from collections import deque
from datetime import datetime
from typing import Any

from aiohttp import web

from tests.support.stand_ins.stand_in import StandIn

KEY = "sk_sbox_" + "lindenbaumbooksleipziga" + "abc="


class CheckoutStandIn(StandIn):
    """Has `events` (as webhooks have them) of `payments` and `disputes`, which are found as documented.

    `late` are added one by one, each after another page was sent. Addresses name another host than the one asked.
    """

    def __init__(self) -> None:
        super().__init__()
        self.events: list[dict[str, Any]] = []
        self.payments: dict[str, dict[str, Any]] = {}
        self.disputes: dict[str, dict[str, Any]] = {}
        self.late: deque[dict[str, Any]] = deque()
        self.page = 1000
        self.key = KEY
        self.searches: list[list[dict[str, Any]]] = []
        self.app.router.add_post("/payments/search", self._search)
        self.app.router.add_get("/payments/search/{number}", self._more)
        self.app.router.add_get("/disputes", self._disputes)
        self.app.router.add_get("/workflows/events/subject/{id}", self._subject)
        self.app.router.add_get("/workflows/events/{id}", self._event)

    def refusal(self, request: web.Request) -> web.Response | None:
        is_right = request.headers.get("Authorization") == f"Bearer {self.key}"
        return None if is_right else web.Response(status=401, headers={"Cko-Request-Id": "r_1"})

    def add(self, event: dict[str, Any]) -> None:
        """Add an event, its payment and its dispute."""
        self.events.append(event)
        data, at = event["data"], event.get("created_on") or event["timestamp"]
        payment = data.get("payment_id", data["id"])
        found = self.payments.setdefault(payment, {"id": payment, "requested_on": at, "actions": []})
        if "action_id" in data:
            found["actions"].append({"id": data["action_id"], "type": "Capture", "processed_on": at})
        if data["id"].startswith("dsp_"):
            self.disputes.pop(data["id"], None)
            self.disputes[data["id"]] = {"id": data["id"], "payment_id": payment, "last_update": at}

    async def _search(self, request: web.Request) -> web.Response:
        asked = await request.json()
        if not 1 <= asked.get("limit", 10) <= 1000 or ("from" in asked) != ("to" in asked):
            return web.json_response({"error_type": "request_invalid", "error_codes": ["limit_invalid"]}, status=422)
        since = datetime.fromisoformat(asked.get("from", "2000-01-01T00:00:00Z"))
        until = datetime.fromisoformat(asked.get("to", "2100-01-01T00:00:00Z"))
        found = [each for each in self.payments.values() if since <= _time(each["requested_on"]) <= until]
        size = min(asked.get("limit", 10), self.page)
        self.searches.append(found)
        return self._page(len(self.searches) - 1, 0, size)

    async def _more(self, request: web.Request) -> web.Response:
        start, size = map(int, request.query["token"].split("-"))
        return self._page(int(request.match_info["number"]), start, size)

    def _page(self, number: int, start: int, size: int) -> web.Response:
        found = self.searches[number]
        body: dict[str, Any] = {"data": found[start : start + size], "_links": {}}
        if start + size < len(found):
            address = f"https://api.checkout.com/payments/search/{number}?token={start + size}-{size}"
            body["_links"] = {"next": {"href": address}}
        if self.late:
            self.add(self.late.popleft())
        return web.json_response(body)

    async def _disputes(self, request: web.Request) -> web.Response:
        query = request.query
        skip, limit = int(query.get("skip", "0")), int(query.get("limit", "50"))
        since = _time(query["from"])
        found = [each for each in reversed(self.disputes.values()) if _time(each["last_update"]) >= since]
        body = {"limit": limit, "skip": skip, "total_count": len(found), "data": found[skip : skip + limit]}
        if self.late:
            self.add(self.late.popleft())
        return web.json_response(body)

    async def _subject(self, request: web.Request) -> web.Response:
        id_ = request.match_info["id"]
        found = [
            {"id": event["id"], "type": event["type"], "timestamp": event.get("created_on") or event["timestamp"]}
            for event in self.events
            if event["data"]["id"] == id_
        ]
        return web.json_response({"data": found}) if found else web.Response(status=404)

    async def _event(self, request: web.Request) -> web.Response:
        for event in self.events:
            if event["id"] == request.match_info["id"]:
                timestamp = event.get("created_on") or event["timestamp"]
                rest = {name: value for name, value in event.items() if name != "created_on"}
                return web.json_response({**rest, "timestamp": timestamp, "source": "gateway"})
        return web.Response(status=404)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
