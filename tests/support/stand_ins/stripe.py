"""Stripe's API: events of both kinds and the objects they are about, with paging, limits, rights and late events."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from tests.support.stand_ins.stand_in import Mishap, StandIn, status

KEY = "sk_test_stand-in"
ACCOUNT = "acct_1Own"

PAGE_MAX, PAGE_DEFAULT, TYPES_MAX = 100, 10, 20
_LIST = {"limit", "created", "type", "types", "delivery_success", "starting_after", "ending_before"}
_OBJECTS = ("payment_intents", "charges", "refunds", "disputes")
_BOUNDS: Mapping[str, Callable[[float, float], bool]] = {
    "gte": lambda at, bound: at >= bound,
    "gt": lambda at, bound: at > bound,
    "lte": lambda at, bound: at <= bound,
    "lt": lambda at, bound: at < bound,
}

Json = dict[str, Any]


def rate_limited(reason: str = "global-rate") -> Mishap:
    """Answer 429 as Stripe does: with the reason in a header, and no Retry-After."""
    return status(429, error_body("rate_limit", "Too many requests."), Stripe_Rate_Limited_Reason=reason)


def locked() -> Mishap:
    """Answer 429 for an object that another request holds."""
    return status(429, error_body("lock_timeout", "This object cannot be accessed right now."))


def error_body(code: str, message: str, type_: str = "invalid_request_error") -> Json:
    """Return the body of an error."""
    return {"error": {"type": type_, "code": code, "message": message, "request_log_url": "https://dashboard.invalid"}}


class StripeStandIn(StandIn):
    """One platform's account and its connected accounts.

    `events` and `thin` are in the order of their making, by the account ("" is the platform's own). `late` are the ids
    of events that exist and are not listed yet. `restricted` are keys that may read only the objects they name.
    `before_page` are called one by one, before a page is cut: a list that changes while it is read.
    """

    def __init__(self) -> None:
        super().__init__()
        self.events: dict[str, list[Json]] = {"": []}
        self.thin: list[Json] = []
        self.objects: dict[str, Json] = {}
        self.late: set[str] = set()
        self.keys: set[str] = {KEY}
        self.restricted: dict[str, set[str]] = {}
        self.before_page: list[Callable[[], None]] = []
        get = self.app.router.add_get
        get("/v1/events", self._list)
        get("/v1/events/{id}", self._event)
        get("/v2/core/events", self._list_thin)
        get("/v1/account", self._account)
        for name in _OBJECTS:
            get(f"/v1/{name}", self._list_objects)
            get(f"/v1/{name}/{{id}}", self._object)

    def add(self, event: Json, account: str = "") -> Json:
        """Make an event. Return it as it is listed."""
        listed = {
            "object": "event",
            "api_version": "2025-03-31.basil",
            "livemode": False,
            "pending_webhooks": 0,
            **event,
        }
        self.events.setdefault(account, []).append(listed)
        return listed

    def refusal(self, request: web.Request) -> web.Response | None:
        """Return 401 for a wrong key, 403 for one that may not read this."""
        key = request.headers.get("Authorization", "").removeprefix("Bearer ")
        name = request.path.removeprefix("/v1/").removeprefix("/v2/core/").partition("/")[0]
        if key.startswith("sk_org_") and "Stripe-Context" not in request.headers:
            return _error(400, "", "A request with the key of an organization names the account in Stripe-Context.")
        if key in self.restricted:
            if name in self.restricted[key]:
                return None
            return _error(403, "", f"Having the 'rak_{name}_read' permission would allow this request to continue.")
        return None if key in self.keys else _error(401, "", f"Invalid API Key provided: {key[:8]}***")

    async def _list(self, request: web.Request) -> web.Response:
        query = _decoded(request)
        if problem := _problem(query):
            return problem
        if self.before_page:
            self.before_page.pop(0)()
        account = _account_of(request)
        newest_first = self.events.get(account, [])[::-1]
        newest_first.sort(key=lambda event: -event["created"])
        found = [
            event
            for event in newest_first
            if event["id"] not in self.late
            and _is_between(event["created"], query.get("created", {}), float)
            and _is_of_type(event["type"], query)
        ]
        cursor = query.get("starting_after") or query.get("ending_before")
        ids = [event["id"] for event in found]
        if cursor and not any(cursor == event["id"] for event in self.events.get(account, [])):
            return _error(404, "resource_missing", f"No such event: '{cursor}'")
        if cursor and cursor not in ids:
            return _error(400, "", "the cursor is not in the list")
        limit = int(query.get("limit", PAGE_DEFAULT))
        if "ending_before" in query:
            newer = found[: ids.index(query["ending_before"])]
            page, has_more = newer[-limit:], len(newer) > limit
        else:
            rest = found[ids.index(cursor) + 1 if cursor else 0 :]
            page, has_more = rest[:limit], len(rest) > limit
        return _json({"object": "list", "url": "/v1/events", "has_more": has_more, "data": page})

    async def _event(self, request: web.Request) -> web.Response:
        id_ = request.match_info["id"]
        for event in self.events.get(_account_of(request), []):
            if event["id"] == id_:
                return _json(event)
        return _error(404, "resource_missing", f"No such event: '{id_}'")

    async def _list_thin(self, request: web.Request) -> web.Response:
        query = _decoded(request)
        if "Stripe-Account" in request.headers:
            return _error(400, "", "API v2 takes Stripe-Context")
        if query.keys() - {"limit", "created", "types", "object_id", "page"}:
            return _error(400, "", "unknown parameter")
        if len(query.get("types", ())) > TYPES_MAX:
            return _error(400, "", "too many types")
        found = [
            event
            for event in reversed(self.thin)
            if _is_between(_unix_s(event["created"]), query.get("created", {}), _unix_s)
            and _is_of_type(event["type"], query)
        ]
        limit, first = int(query.get("limit", 20)), int(query.get("page", 0))
        has_more = len(found) > first + limit
        filters = "&".join(f"{name}={value}" for name, value in request.query.items() if name != "page")
        next_page_url = f"/v2/core/events?{filters}&page={first + limit}".replace("+", "%2B") if has_more else None
        page = found[first : first + limit]
        return _json({"data": page, "next_page_url": next_page_url, "previous_page_url": None})

    async def _list_objects(self, request: web.Request) -> web.Response:
        beginning = f"{request.path}/"
        page = [each for path, each in self.objects.items() if path.startswith(beginning)]
        return _json({"object": "list", "url": request.path, "has_more": False, "data": page[:PAGE_DEFAULT]})

    async def _object(self, request: web.Request) -> web.Response:
        found = self.objects.get(request.path)
        if found is None:
            return _error(404, "resource_missing", f"No such object: '{request.match_info['id']}'")
        if "refunds" in _decoded(request).get("expand", ()):
            return _json(found)
        return _json({name: value for name, value in found.items() if name != "refunds"})

    async def _account(self, _: web.Request) -> web.Response:
        return _json({"id": ACCOUNT, "object": "account"})


def _account_of(request: web.Request) -> str:
    return request.headers.get("Stripe-Context", request.headers.get("Stripe-Account", ""))


def _decoded(request: web.Request) -> Json:
    """Return the query with `a[b]=c` as objects and `a[]=b`, `a[0]=b` as arrays."""
    decoded: Json = {}
    for name, value in request.query.items():
        match = re.fullmatch(r"(\w+)\[(\w*)\]", name)
        if match is None:
            decoded[name] = value
        elif match[2].isdecimal() or not match[2]:
            decoded.setdefault(match[1], []).append(value)
        else:
            decoded.setdefault(match[1], {})[match[2]] = value
    return decoded


def _problem(query: Json) -> web.Response | None:
    if unknown := query.keys() - _LIST:
        return _error(400, "parameter_unknown", f"Received unknown parameter: {min(unknown)}")
    if not 1 <= int(query.get("limit", PAGE_DEFAULT)) <= PAGE_MAX:
        return _error(400, "", "This value must be between 1 and 100")
    if {"starting_after", "ending_before"} <= query.keys() or {"type", "types"} <= query.keys():
        return _error(400, "", "You may only specify one of these parameters")
    if len(query.get("types", ())) > TYPES_MAX:
        return _error(400, "", "No more than 20 types")
    return None


def _is_between(at: float, bounds: Mapping[str, str], read: Callable[[str], float]) -> bool:
    return all(_BOUNDS[name](at, read(bound)) for name, bound in bounds.items())


def _is_of_type(type_: str, query: Json) -> bool:
    types: Sequence[str] = query.get("types", ())
    wanted = query.get("type", "")
    if wanted.endswith(".*"):
        return type_.startswith(wanted.removesuffix("*"))
    return (not types or type_ in types) and wanted in ("", type_)


def _unix_s(time: str) -> float:
    return datetime.fromisoformat(time).astimezone(UTC).timestamp()


def _json(value: Json, code: int = 200) -> web.Response:
    """Answer as Stripe does: indented, with a request's id."""
    return web.json_response(
        text=json.dumps(value, indent=2, ensure_ascii=False), status=code, headers={"Request-Id": "req_standin"}
    )


def _error(code: int, reason: str, message: str) -> web.Response:
    return _json(error_body(reason, message), code)
