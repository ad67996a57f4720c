"""A stand-in of Square's API: its list of events, one merchant."""

import json
from collections import deque
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from tests.support.stand_ins.stand_in import StandIn

TOKEN = "EAAA" + "l" * 60


def _at(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _error(status: int, category: str, code: str) -> web.Response:
    return web.json_response({"errors": [{"category": category, "code": code, "detail": "…"}]}, status=status)


class SquareStandIn(StandIn):
    """Lists `events` (as webhooks have them) once they are enabled, `page` at most on a page.

    `late` are added one by one, each after another page was sent.
    """

    def __init__(self) -> None:
        super().__init__()
        self.events: list[dict[str, Any]] = []
        self.late: deque[dict[str, Any]] = deque()
        self.is_enabled = True
        self.page = 100
        self.token = TOKEN
        self.app.router.add_post("/v2/events", self._search)
        self.app.router.add_get("/v2/merchants/me", self._me)

    def refusal(self, request: web.Request) -> web.Response | None:
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return _error(401, "AUTHENTICATION_ERROR", "UNAUTHORIZED")
        if not request.headers.get("Square-Version", "2020-01-01")[:4].isdecimal():
            return _error(400, "INVALID_REQUEST_ERROR", "INVALID_SQUARE_VERSION_FORMAT")
        return None

    async def _search(self, request: web.Request) -> web.Response:
        asked = await request.json()
        query = asked.get("query") or {}
        frozen, span = json.dumps(query, sort_keys=True), (query.get("filter") or {}).get("created_at") or {}
        start = _at(span.get("start_at", "2000-01-01T00:00:00Z"))
        end = _at(span.get("end_at", "2100-01-01T00:00:00Z"))
        limit = asked.get("limit", 100)
        if not 1 <= limit <= 100 or end < start:
            return _error(400, "INVALID_REQUEST_ERROR", "VALUE_TOO_HIGH" if end >= start else "INVALID_TIME_RANGE")
        after = ["", ""]
        if "cursor" in asked:
            cursor = json.loads(bytes.fromhex(asked["cursor"]))
            if cursor["query"] != frozen:
                return _error(400, "INVALID_REQUEST_ERROR", "INVALID_CURSOR")
            after = cursor["after"]
        found = sorted(
            ([event["created_at"], event["event_id"]], event)
            for event in (self.events if self.is_enabled else [])
            if start <= _at(event["created_at"]) <= end and [event["created_at"], event["event_id"]] > after
        )  # fmt: skip
        size = min(limit, self.page)
        page = found[:size]
        answer: dict[str, Any] = {}
        if page:
            answer["events"] = [_as_listed(event) for _, event in page]
            answer["metadata"] = [{"event_id": event["event_id"], "api_version": "2022-12-13"} for _, event in page]
        if page and len(page) == size:  # the page that follows may be empty
            cursor = {"query": frozen, "after": page[-1][0]}
            answer["cursor"] = json.dumps(cursor).encode().hex()
        if self.late:
            self.events.append(self.late.popleft())
        return web.json_response(answer, headers={"Square-Version": "2025-08-20"})

    async def _me(self, _: web.Request) -> web.Response:
        return web.json_response({"merchant": {"id": "LINDENBAUM7Q2", "status": "ACTIVE", "country": "DE"}})


def _as_listed(event: dict[str, Any]) -> dict[str, Any]:
    """Return the event with its members in another order, a place, and a time without a zone."""
    return {
        "created_at": _at(event["created_at"]).replace(tzinfo=None).isoformat(timespec="microseconds"),
        "data": event["data"],
        "event_id": event["event_id"],
        "location_id": "LNDNBMLEIPZIG",
        "merchant_id": event["merchant_id"],
        "type": event["type"],
    }
