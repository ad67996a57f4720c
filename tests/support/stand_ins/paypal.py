"""PayPal's API: tokens that expire, the list of a REST app's events, and captures, refunds, orders, disputes, sales."""

import base64
import json
from datetime import datetime
from typing import Any

from aiohttp import web

from tests.support.stand_ins.stand_in import StandIn

CLIENT_ID, CLIENT_SECRET = "client-of-the-stand-in", "secret-of-the-stand-in"
APP = "APP-2J518803CE0492941"
LIST = "/v1/notifications/webhooks-events"


class PayPal(StandIn):
    """The API of one REST app.

    `objects` are by path; `events` are listed, the newest first. `arriving` are added one by one, after each page.
    """

    def __init__(self, host: str = "https://api.sandbox.paypal.com") -> None:
        super().__init__()
        self.host = host
        """Of the links that it writes, which is another name than the one that is asked."""
        self.objects: dict[str, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []
        self.arriving: list[dict[str, Any]] = []
        self.oldest = datetime.fromisoformat("2026-01-01T00:00:00Z")
        """An earlier start_time is refused."""
        self.page_size_max = 300
        self.expires_in = 32_400
        self.tokens: set[str] = set()
        """Those that are accepted. Clear it, and all of them have expired."""
        self.tokens_made = 0
        self.app.router.add_post("/v1/oauth2/token", self._token)
        self.app.router.add_get(LIST, self._list)
        self.app.router.add_get(f"{LIST}/", self._list)
        self.app.router.add_get("/{path:v[12]/.+}", self._object)

    def refusal(self, request: web.Request) -> web.Response | None:
        """Accept the client for a token, and a token for all else."""
        given = request.headers.get("Authorization", "")
        if request.path == "/v1/oauth2/token":
            pair = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
            if given == f"Basic {pair}":
                return None
            answer = {"error": "invalid_client", "error_description": "Client Authentication failed"}
            return web.json_response(answer, status=401)
        if given.removeprefix("Bearer ") in self.tokens:
            return None
        return _refused(401, "AUTHENTICATION_FAILURE")

    async def _token(self, request: web.Request) -> web.Response:
        if (await request.post()).get("grant_type") != "client_credentials":
            return web.json_response({"error": "unsupported_grant_type"}, status=400)
        self.tokens_made += 1
        token = f"A21AA-{self.tokens_made}"
        self.tokens.add(token)
        scope = "https://uri.paypal.com/services/applications/webhooks openid"
        answer = {"scope": scope, "access_token": token, "token_type": "Bearer", "app_id": APP,
                  "expires_in": self.expires_in, "nonce": "2026-09-17T12:00:00Zabc"}  # fmt: skip
        return web.json_response(answer)

    async def _list(self, request: web.Request) -> web.Response:
        query = request.query
        size = int(query.get("page_size", "10"))
        since = datetime.fromisoformat(query.get("start_time", self.oldest.isoformat()))
        until = datetime.fromisoformat(query.get("end_time", "9999-12-31T00:00:00Z"))
        if since < self.oldest:
            details = [{"field": "start_time", "issue": "Start time is too far in the past"}]
            return _refused(400, "VALIDATION_ERROR", details)
        if not 0 < size <= self.page_size_max:
            return _refused(400, "VALIDATION_ERROR", [{"field": "page_size", "issue": "Not a page size"}])
        at = int(query.get("offset", "0"))
        found = [each for each in self.events if since <= datetime.fromisoformat(each["create_time"]) <= until]
        found.sort(key=lambda each: datetime.fromisoformat(each["create_time"]), reverse=True)
        page = found[at : at + size]
        answer: dict[str, Any] = {"events": page, "count": len(page)}
        if at + size < len(found):
            href = (
                f"{self.host}{LIST}/?start_time={query.get('start_time', '')}&amp;end_time={query.get('end_time', '')}"
                f"&amp;page_size={size}&amp;move_to=next&amp;offset={at + size}"
            )
            answer["links"] = [{"href": href, "rel": "next", "method": "GET"}]
        if self.arriving:
            self.events.append(self.arriving.pop(0))
        return web.Response(body=json.dumps(answer).encode(), content_type="application/json")

    async def _object(self, request: web.Request) -> web.Response:
        found = self.objects.get(request.path) or next(
            (each for each in self.events if request.path == f"{LIST}/{each['id']}"), None
        )
        if found is None:
            details = [{"issue": "INVALID_RESOURCE_ID", "description": "Specified resource ID does not exist."}]
            return _refused(404, "RESOURCE_NOT_FOUND", details)
        return web.json_response(found)

    def has_capture(self, id_: str, value: str, currency: str = "USD", status: str = "COMPLETED") -> dict[str, Any]:
        """Keep a capture of the second API, and return it."""
        path = f"/v2/payments/captures/{id_}"
        return self._keep(path, {"id": id_, "amount": _money(value, currency), "status": status, "final_capture": True})

    def has_refund(
        self, id_: str, capture: str, value: str, currency: str = "USD", status: str = "COMPLETED"
    ) -> dict[str, Any]:
        """Keep a refund of the second API, and return it. It names its capture in a link only."""
        path = f"/v2/payments/refunds/{id_}"
        links = [{"href": f"{self.host}/v2/payments/captures/{capture}", "rel": "up", "method": "GET"}]
        return self._keep(path, {"id": id_, "amount": _money(value, currency), "status": status, "links": links})

    def has_authorization(
        self, id_: str, value: str, currency: str = "USD", status: str = "CREATED"
    ) -> dict[str, Any]:  # fmt: skip
        """Keep an authorization of the second API, and return it."""
        path = f"/v2/payments/authorizations/{id_}"
        return self._keep(path, {"id": id_, "amount": _money(value, currency), "status": status})

    def has_order(self, id_: str, *captures: dict[str, Any]) -> dict[str, Any]:
        """Keep an order of one unit, and return it."""
        units = [{"reference_id": "default", "payments": {"captures": list(captures)}}]
        order = {"id": id_, "intent": "CAPTURE", "status": "COMPLETED", "purchase_units": units}
        return self._keep(f"/v2/checkout/orders/{id_}", order)

    def has_dispute(
        self, id_: str, payments: dict[str, str], value: str, status: str = "OPEN", outcome: str | None = None
    ) -> dict[str, Any]:
        """Keep a dispute about captures with their amounts, and return it."""
        disputed = [{"seller_transaction_id": each, "gross_amount": _money(gross)} for each, gross in payments.items()]
        dispute = {"dispute_id": id_, "disputed_transactions": disputed, "status": status,
                   "dispute_amount": _money(value), "reason": "UNAUTHORISED"}  # fmt: skip
        if outcome:
            dispute["dispute_outcome"] = {"outcome_code": outcome}
        return self._keep(f"/v1/customer/disputes/{id_}", dispute)

    def has_sale(self, id_: str, total: str, state: str = "completed") -> dict[str, Any]:
        """Keep a sale of the first API, and return it."""
        sale = {"id": id_, "amount": {"total": total, "currency": "USD"}, "state": state, "parent_payment": "PAYID-1"}
        return self._keep(f"/v1/payments/sale/{id_}", sale)

    def has_first_refund(self, id_: str, total: str, state: str = "completed", **of: str) -> dict[str, Any]:
        """Keep a refund of the first API, and return it; `of` is its sale_id or capture_id."""
        refund = {"id": id_, "amount": {"total": total, "currency": "USD"}, "state": state, **of}
        return self._keep(f"/v1/payments/refund/{id_}", refund)

    def has_event(self, id_: str, type_: str, resource: dict[str, Any], at: str, kind: str) -> dict[str, Any]:
        """List an event with its object as it is now, and return it."""
        links = [{"href": f"{self.host}{LIST}/{id_}", "rel": "self", "method": "GET", "encType": "application/json"}]
        event = {"id": id_, "create_time": at, "resource_type": kind, "event_type": type_, "event_version": "1.0",
                 "summary": "An event", "resource": dict(resource), "links": links}  # fmt: skip
        self.events.append(event)
        return event

    def _keep(self, path: str, object_: dict[str, Any]) -> dict[str, Any]:
        self.objects[path] = object_
        return object_


def _money(value: str, currency: str = "USD") -> dict[str, str]:
    return {"currency_code": currency, "value": value}


def _refused(code: int, name: str, details: list[dict[str, str]] | None = None) -> web.Response:
    answer = {"name": name, "message": "It was refused.", "debug_id": "90957fca61718", "details": details or []}
    return web.json_response(answer, status=code, headers={"Paypal-Debug-Id": "90957fca61718"})
