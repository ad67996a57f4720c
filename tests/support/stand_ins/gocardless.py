"""A stand-in of GoCardless' API: its list of events, payments, refunds, and one creditor."""

from collections import deque
from datetime import datetime
from typing import Any

from aiohttp import web

from tests.support.stand_ins.stand_in import StandIn

TOKEN = "sandbox_" + "g" * 40
LIMIT_HEADERS = {
    "ratelimit-limit": "1000",
    "ratelimit-remaining": "163",
    "ratelimit-reset": "Thu, 17 Sep 2026 12:01:00 GMT",
}


def error(status: int, reason: str, type_: str = "invalid_api_usage") -> web.Response:
    content: dict[str, Any] = {"message": reason, "documentation_url": "…", "type": type_, "code": status}
    content["errors"] = [{"reason": reason, "message": reason}]
    return web.json_response({"error": content}, status=status, headers=LIMIT_HEADERS)


class GoCardlessStandIn(StandIn):
    """Lists `events`, the newest first, `page` at most on a page. `objects` are payments and refunds by their ids.

    `late` are added one by one, each after another page was sent.
    """

    def __init__(self) -> None:
        super().__init__()
        self.events: list[dict[str, Any]] = []
        self.objects: dict[str, dict[str, Any]] = {}
        self.late: deque[dict[str, Any]] = deque()
        self.page = 500
        self.token = TOKEN
        self.app.router.add_get("/events", self._list)
        self.app.router.add_get("/creditors", self._creditors)
        self.app.router.add_get("/{kind:payments|refunds}/{id}", self._object)

    def refusal(self, request: web.Request) -> web.Response | None:
        if "GoCardless-Version" not in request.headers:
            return error(400, "missing_version_header")
        return None if request.headers.get("Authorization") == f"Bearer {self.token}" else error(401, "unauthorized")

    async def _list(self, request: web.Request) -> web.Response:
        query = request.query
        limit = int(query.get("limit", "50"))
        if limit > 500 or set(query) - {"limit", "after", "payment", "created_at[gte]", "created_at[lt]"}:
            return error(400, "invalid_parameter")
        events = sorted(self.events, key=_place, reverse=True)
        if (since := query.get("created_at[gte]")) is not None:
            events = [event for event in events if _at(event) >= datetime.fromisoformat(since)]
        if (until := query.get("created_at[lt]")) is not None:
            events = [event for event in events if _at(event) < datetime.fromisoformat(until)]
        if (payment := query.get("payment")) is not None:
            events = [event for event in events if event["links"].get("payment") == payment]
        if (after := query.get("after")) is not None:
            cursor = next(_place(event) for event in self.events if event["id"] == after)
            events = [event for event in events if _place(event) < cursor]
        page = events[: min(limit, self.page)]
        cursors = {
            "before": page[0]["id"] if page and after else None,
            "after": page[-1]["id"] if len(page) < len(events) else None,
        }
        if self.late:
            self.events.append(self.late.popleft())
        body = {"events": page, "meta": {"cursors": cursors, "limit": limit}}
        return web.json_response(body, headers=LIMIT_HEADERS)

    async def _object(self, request: web.Request) -> web.Response:
        found = self.objects.get(request.match_info["id"])
        if found is None:
            return error(404, "resource_not_found")
        return web.json_response({request.match_info["kind"]: found}, headers=LIMIT_HEADERS)

    async def _creditors(self, request: web.Request) -> web.Response:
        creditor = {"id": "CR0000LINDEN", "name": "Lindenbaum Books", "created_at": "2024-01-01T00:00:00.000Z"}
        meta = {"cursors": {"before": None, "after": None}, "limit": int(request.query.get("limit", "50"))}
        return web.json_response({"creditors": [creditor], "meta": meta}, headers=LIMIT_HEADERS)


def _at(event: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(event["created_at"])


def _place(event: dict[str, Any]) -> tuple[datetime, str]:
    return _at(event), event["id"]
