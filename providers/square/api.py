"""Square's list of events: `POST /v2/events`, which Square calls the means for "disaster recovery and reconciliation".

Sources: developer.squareup.com/docs/events-api/overview, the reference of SearchEvents, and squareup.

* It accepts the application's personal access token only, no seller's OAuth token. Nothing in a token says its mode.
* It lists nothing until events are enabled (`PUT /v2/events/enable`, once), and never what happened before. No read
  says whether they are: an empty list proves nothing.
* A page may be short or empty and not be the last. The query of a next page is the same, with the cursor added.
* An item is a webhook's body as the application's default version has it, which need not be the subscription's: fields
  may differ, ids, types and amounts do not. Its time may have no zone; it is UTC.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from typing import ClassVar

from pydantic import field_validator

from contract.event import Mode
from providers.api import Api, ApiUnexpectedError, EventList, Limits, Listed, Window
from providers.api_access import ApiAccess, KeyAccess
from providers.api_pages import Pages, iso, listed_events, read_cursor, read_object, read_page, within
from providers.payload import first_id, get_path
from providers.secret import Secret
from providers.square.webhook import parse_event

VERSION = "2025-08-20"
"""The version whose reference this was written from."""

PAGE_EVENTS = 100
"""The most that Square allows."""

MARGIN = timedelta(seconds=1)
"""Square does not say whether the ends of a time range belong to it, nor to which fraction of a second it reads them.
"""

_PATH, _ABOUT = "/v2/events", "Square's list of events"

_NO_TOKENS: Mapping[str, str] = {
    "sq0idp-": "the id of an application",
    "sandbox-sq0idb-": "the id of an application",
    "sq0csp-": "the secret of an application",
    "sandbox-sq0csb-": "the secret of an application",
}


class SquareAccess(KeyAccess):
    """The access of a Square application: its personal access token."""

    @field_validator("api_key")
    @classmethod
    def _is_a_token(cls, key: Secret) -> Secret:
        for prefix, what in _NO_TOKENS.items():
            if key.reveal().startswith(prefix):
                raise ValueError(f"{what}, not its access token")
        return key


class SquareApi(Api, EventList):
    """The events of a Square application, of all its merchants."""

    name: ClassVar[str] = "square"
    Access: ClassVar[type[ApiAccess]] = SquareAccess
    base_urls: ClassVar[Mapping[Mode, str]] = {
        "live": "https://connect.squareup.com",
        "test": "https://connect.squareupsandbox.com",
    }
    limits: ClassVar[Limits | None] = Limits(requests_per_s_max=5.0)  # its own are not published

    reach: ClassVar[timedelta] = timedelta(days=28) - timedelta(minutes=5)
    """Square keeps 28 days, and no range may be longer: the margins, and the time until it is asked, are within."""

    empty_proves: ClassVar[bool] = False
    unlisted: ClassVar[str] = "what happened before events were enabled (PUT /v2/events/enable), or while they were not"

    access: SquareAccess

    async def check(self) -> str:
        """Read one event, which needs the personal token, and the merchant's id."""
        events = await self.client.post(_PATH, None, json={"limit": 1}, form=None, **self._headers())
        merchant = await self.client.get("/v2/merchants/me", None, **self._headers())
        id_ = first_id(get_path(read_object(merchant.body, "Square's merchant"), "merchant", "id"))
        is_empty = not read_object(events.body, _ABOUT).get("events")
        doubt = ", but no event is listed: are events enabled (PUT /v2/events/enable)?" if is_empty else ""
        return f"merchant {id_ or 'without an id'}{doubt}"

    async def list_events(self, window: Window) -> AsyncIterator[Sequence[Listed]]:
        """Yield the events of a window, the oldest first."""
        span = {"start_at": iso(window.since - MARGIN), "end_at": iso(window.until + MARGIN)}
        query = {"filter": {"created_at": span}, "sort": {"field": "DEFAULT", "order": "ASC"}}
        request: dict[str, object] = {"limit": PAGE_EVENTS, "query": query}
        pages = Pages(_ABOUT)
        while True:
            answer = await self.client.post(_PATH, None, json=request, form=None, **self._headers())
            items, rest = read_page(answer.body, "events", _ABOUT, may_be_absent=True)
            if rest.get("errors"):
                raise ApiUnexpectedError(f"{_ABOUT}: the answer has errors")
            yield within(window, listed_events(items, parse_event))
            cursor = read_cursor(rest, "cursor", about=_ABOUT)
            if cursor is None:
                return
            request["cursor"] = pages.next(cursor)

    def _headers(self) -> dict[str, str]:
        return {"Authorization": self.access.bearer(), "Square-Version": VERSION}
