"""Paddle's list of events: `GET /events`, which has every event of the account, with or without a destination for it.

Sources: developer.paddle.com/api-reference, "List events", "Authentication" and "Rate limiting"; paddle-python-sdk.

* An item is a webhook's body without `notification_id`, which names a delivery. Its destination's version and settings
  may give other fields; ids, types and amounts are the same.
* The newest come first unless the order is asked for. The address of the next page is there on the last one too
  (`has_more` says that it is the last), and may be one without TLS: only its `after` is used.
* `from` and `to` are of September 2026. Which time they mean is not said, so more is asked for, and each event's own
  time decides; so it does where they are not known.
* A wrong key is answered 403, like one without the permission `notification.read`. Keys end after 90 days unless
  somebody chose otherwise: `check` says when.
"""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from typing import ClassVar

from pydantic import ValidationInfo, field_validator

from contract.event import Mode
from providers.api import (
    Api,
    ApiRefusedError,
    ApiUnexpectedError,
    EventList,
    Limits,
    Listed,
    NotFoundError,
    Window,
    segment,
)
from providers.api_access import ApiAccess, KeyAccess, refuse_other_mode
from providers.api_pages import Pages, iso, listed_events, read_address, read_object, read_page, within
from providers.paddle.webhook import parse_event
from providers.payload import get_path
from providers.secret import Secret

PAGE_EVENTS = 200
"""The most that Paddle allows; it cuts a larger number."""

MARGIN = timedelta(minutes=5)
"""How much more than the window is asked for: `from` and `to` may be times of storing."""

_ABOUT = "Paddle's list of events"

_KEY = re.compile(r"pdl_(?P<mode>live|sdbx)_apikey_(?P<id>[a-z0-9]{26})_")
_MODES: Mapping[str, Mode] = {"live": "live", "sdbx": "test"}
_NO_KEYS = ("pdl_ntfset_", "live_", "test_")
"""How the secret of a destination begins, and tokens for a shop's pages."""


class PaddleAccess(KeyAccess):
    """The access of a Paddle account: an API key that may read notifications."""

    @field_validator("api_key")
    @classmethod
    def _is_a_key_of_the_mode(cls, key: Secret, info: ValidationInfo) -> Secret:
        """A key from before May 2025 does not say its mode."""
        text = key.reveal()
        if text.startswith(_NO_KEYS):
            raise ValueError("the secret of a destination, or a client-side token: not an API key")
        match = _KEY.match(text)
        refuse_other_mode(_MODES[match["mode"]] if match else None, info)
        return key


class PaddleApi(Api, EventList):
    """The events of a Paddle account."""

    name: ClassVar[str] = "paddle"
    Access: ClassVar[type[ApiAccess]] = PaddleAccess
    base_urls: ClassVar[Mapping[Mode, str]] = {
        "live": "https://api.paddle.com",
        "test": "https://sandbox-api.paddle.com",
    }
    limits: ClassVar[Limits | None] = Limits(concurrent_max=2, requests_per_s_max=3.0)
    """Paddle allows 240 requests a minute to an address, for all programs behind it."""

    reach: ClassVar[timedelta] = timedelta(days=90) - timedelta(minutes=10)

    access: PaddleAccess

    async def check(self) -> str:
        """Read one event, and when the key ends, which each key may read."""
        answer = await self.client.get("/events", {"per_page": "1"}, **self._headers())
        read_page(answer.body, "data", _ABOUT)
        return f"events can be read{await self._end_of_key()}"

    async def _end_of_key(self) -> str:
        """Return when the key ends, in words; "" for a key that does not name itself or is not found."""
        match = _KEY.match(self.access.api_key.reveal())
        if match is None:
            return ""
        try:
            answer = await self.client.get(f"/api-keys/{segment('apikey_' + match['id'])}", None, **self._headers())
        except (ApiRefusedError, NotFoundError):
            return ""
        ends = get_path(read_object(answer.body, "Paddle's key"), "data", "expires_at")
        return f"; the key ends at {ends[:40]}" if isinstance(ends, str) else "; the key does not end"

    async def list_events(self, window: Window) -> AsyncIterator[Sequence[Listed]]:
        """Yield the events of a window, in the order in which they were made."""
        query = {
            "order_by": "id[ASC]",
            "per_page": str(PAGE_EVENTS),
            "from": iso(window.since - MARGIN),
            "to": iso(window.until + MARGIN),
        }
        pages = Pages(_ABOUT)
        while True:
            answer = await self.client.get("/events", query, **self._headers())
            items, rest = read_page(answer.body, "data", _ABOUT)
            yield within(window, listed_events(items, parse_event))
            after = _next(rest)
            if after is None:
                return
            query["after"] = pages.next(after)

    def _headers(self) -> dict[str, str]:
        return {"Authorization": self.access.bearer(), "Paddle-Version": "1", "Skip-Count": "true"}


def _next(members: Mapping[str, object]) -> str | None:
    """Return the id after which the next page begins, None on the last page. Raise ApiUnexpectedError."""
    pagination = get_path(members, "meta", "pagination")
    has_more = get_path(pagination, "has_more")
    if has_more is False:
        return None
    after = read_address(get_path(pagination, "next"), _ABOUT).query.get("after") if has_more is True else None
    if not after:
        raise ApiUnexpectedError(f"{_ABOUT}: it does not say whether and where there is a next page")
    return after
