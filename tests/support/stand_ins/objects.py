"""A stand-in API that answers with objects by their path, and the Api that asks it: Stripe's, for events not proven."""

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from aiohttp import web

from contract.event import Event, Mode
from providers.api import Api, Confirmation, Fetched, NotFoundError, segment
from providers.stripe.facts import TYPES
from tests.support.stand_ins.stand_in import StandIn

KEY = "sk_test_stand_in"

PATHS: Mapping[str, str] = {"payment_intent": "/v1/payment_intents/", "refund": "/v1/refunds/"}


class Objects(StandIn):
    """Serves `objects`, by path. An object is not there yet for the next `lag` requests."""

    def __init__(self) -> None:
        super().__init__()
        self.objects: dict[str, dict[str, Any]] = {}
        self.lag = 0
        self.app.router.add_get("/{path:.*}", self._show)

    def refusal(self, request: web.Request) -> web.Response | None:
        if request.headers.get("Authorization") == f"Bearer {KEY}":
            return None
        return web.json_response({"error": "no such key"}, status=401)

    async def _show(self, request: web.Request) -> web.Response:
        found = self.objects.get(request.path)
        if found is None or self.lag:
            self.lag = max(0, self.lag - 1)
            return web.json_response({"error": "no such object"}, status=404)
        return web.json_response(found)

    def has(self, *events: Event, **changes: Any) -> None:
        """Serve the objects of these events, with changes of their fields."""
        for event in events:
            found = json.loads(event.body)["data"]["object"]
            self.objects[PATHS[found["object"]] + found["id"]] = found | changes

    @property
    def paths(self) -> list[str]:
        """The paths that were asked for."""
        return [each.path for each in self.requests]


class ObjectsApi(Api, Confirmation):
    """Asks for the object of a Stripe event, and makes an event of the same type of it."""

    name = "stripe"
    base_urls: ClassVar[Mapping[Mode, str]] = {"live": "https://api.stripe.com", "test": "https://api.stripe.com"}

    async def check(self) -> str:
        return "a stand-in"

    def must_ask(self, event: Event) -> bool:
        return event.signed not in ("body", "api") and event.type in TYPES

    async def fetch(self, event: Event) -> Fetched:
        whole = json.loads(event.body)
        delivered = whole["data"]["object"]
        path = PATHS[delivered["object"]] + segment(delivered["id"])
        answer = await self.client.get(path, Authorization=f"Bearer {self.access.api_key.reveal()}")  # type: ignore[attr-defined]
        found = json.loads(answer.body)
        if event.resource not in (found["id"], found.get("payment_intent")):
            raise NotFoundError("the object is of another payment")
        body = json.dumps({**whole, "data": {"object": found}})
        return Fetched(body.encode(), event.type)
