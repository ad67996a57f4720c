"""A stand-in of Paddle's API: its list of events, and the key that asks."""

from collections import deque
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from tests.support.stand_ins.stand_in import StandIn

KEY_ID = "01jtyq4n7h2d9c5b8x3w6v1m0k"
KEY = f"pdl_sdbx_apikey_{KEY_ID}_Lindenbaum4Books7Leip9_Q2x"


def error(status: int, code: str, type_: str = "request_error") -> web.Response:
    content = {"type": type_, "code": code, "detail": "…", "documentation_url": f"https://developer.paddle.com/{code}"}
    return web.json_response({"error": content, "meta": {"request_id": "r_1"}}, status=status)


class PaddleStandIn(StandIn):
    """Lists `events` (as webhooks have them), the newest first unless asked otherwise, `page` at most on a page.

    `late` are added one by one, each after another page was sent. `knows_times`: whether `from` and `to` are known.
    """

    def __init__(self) -> None:
        super().__init__()
        self.events: list[dict[str, Any]] = []
        self.late: deque[dict[str, Any]] = deque()
        self.knows_times = True
        self.page = 200
        self.key = KEY
        self.next_host = "http://sandbox-api.paddle.com"
        self.key_expires_at: str | None = "2027-02-24T10:00:00.000000Z"
        self.app.router.add_get("/events", self._list)
        self.app.router.add_get("/api-keys/{id}", self._key)

    def refusal(self, request: web.Request) -> web.Response | None:
        given = request.headers.get("Authorization")
        if given is None:
            return error(403, "authentication_missing")
        return None if given == f"Bearer {self.key}" else error(403, "invalid_token")

    async def _list(self, request: web.Request) -> web.Response:
        query = request.query
        size = min(int(query.get("per_page", "50")), self.page, 200)
        is_ascending = query.get("order_by", "id[DESC]").lower() == "id[asc]"
        events = sorted(self.events, key=lambda event: event["event_id"], reverse=not is_ascending)
        if self.knows_times:
            since, until = query.get("from"), query.get("to")
            events = [
                event
                for event in events
                if (since is None or _at(event) >= datetime.fromisoformat(since))
                and (until is None or _at(event) <= datetime.fromisoformat(until))
            ]
        after = query.get("after")
        if after is not None:
            events = [
                event for event in events
                if (event["event_id"] > after if is_ascending else event["event_id"] < after)
            ]  # fmt: skip
        page = events[:size]
        last = page[-1]["event_id"] if page else after or ""
        pagination = {
            "per_page": size,
            "next": f"{self.next_host}/events?{urlencode({**query, 'per_page': size, 'after': last})}",
            "has_more": len(events) > len(page),
            "estimated_total": -1 if request.headers.get("Skip-Count") == "true" else len(events),
        }
        items = [{name: value for name, value in event.items() if name != "notification_id"} for event in page]
        if self.late:
            self.events.append(self.late.popleft())
        return web.json_response({"data": items, "meta": {"request_id": "r_1", "pagination": pagination}})

    async def _key(self, request: web.Request) -> web.Response:
        if request.match_info["id"] != f"apikey_{KEY_ID}":
            return error(403, "forbidden")
        data = {"id": f"apikey_{KEY_ID}", "status": "active", "expires_at": self.key_expires_at}
        return web.json_response({"data": data, "meta": {"request_id": "r_1"}})


def _at(event: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(event["occurred_at"])
