"""PayPal's API: the list of its events, and the objects that an event is about.

Sources: PayPal's specification notifications_webhooks_v1 and answers that its SDKs recorded; for the token,
developer.paypal.com/api/rest/authentication, for limits /api/rest/rate-limiting.

* The list belongs to the REST app, not to the account, and names an event by the id in its body (`WH-…`). A delivery
  is recorded by its transmission id, which no list has. So a listed event is known by what it says (`ids_differ`).
* Its order is not documented, and both ends of its times are inclusive. The next page is a link, perhaps of another
  host name of PayPal's: only its query is taken.
* An event is confirmed by fetching its object, not by `verify-webhook-signature`: that call seems to take the CRC-32
  of what it is sent, as the signature does, so a body that was forged to the same CRC-32 may well pass there too.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, ClassVar

from contract.event import Event, Mode
from providers.api import (
    Api,
    ApiRefusedError,
    ApiUnexpectedError,
    Confirmation,
    EventList,
    Fetched,
    Limits,
    Listed,
    NotFoundError,
    Window,
)
from providers.api_access import ApiAccess
from providers.api_pages import Pages, listed, parsed_json, read_address, read_page
from providers.oauth import ClientAccess, Tokens
from providers.payload import first_id, get_path, read_json
from providers.paypal.facts import TYPES
from providers.paypal.identity import identify, items, mode_of
from providers.paypal.models import AnyEvent
from providers.paypal.objects import fetched_event, named_object

if TYPE_CHECKING:
    from providers.api_client import Answer

TOKEN = "/v1/oauth2/token"  # noqa: S105 - a path
EVENTS = "/v1/notifications/webhooks-events"

PAGE_EVENTS = 100
"""The events of a page. No maximum is documented; others use this."""

NO_OBJECTS = (
    "/v2/payments/captures/0AA00000AA000000A",
    "/v2/payments/refunds/0AA00000AA000000A",
    "/v2/checkout/orders/0AA00000AA000000A",
    "/v1/customer/disputes/PP-D-1",
)
"""What an app that confirms events has to be able to ask for."""

_ABOUT = "the list of events"


class PayPalApi(Api, EventList, Confirmation):
    """The API of one REST app."""

    name: ClassVar[str] = "paypal"
    Access: ClassVar[type[ApiAccess]] = ClientAccess
    base_urls: ClassVar[Mapping[Mode, str]] = {
        "live": "https://api-m.paypal.com",
        "test": "https://api-m.sandbox.paypal.com",
    }
    limits: ClassVar[Limits | None] = Limits(requests_per_s_max=10.0)
    """PayPal publishes no numbers, and answers 429 to what it finds too much."""

    reach: ClassVar[timedelta] = timedelta(days=30)
    lag: ClassVar[timedelta] = timedelta(minutes=5)
    ids_differ: ClassVar[bool] = True
    unlisted: ClassVar[str] = "events of webhooks of another REST app, and those of the simulator"

    access: ClientAccess

    def __init__(self, access: ClientAccess) -> None:
        super().__init__(access)
        self._tokens = Tokens(self._ask_token)
        self._app = ""

    async def _ask_token(self) -> "Answer":
        form = {"grant_type": "client_credentials"}
        try:
            answer = await self.client.post(TOKEN, form=form, Authorization=self.access.basic())
        except ApiRefusedError as error:
            hint = f"the {self.access.mode} API accepts no client of the other mode"
            raise ApiRefusedError(f"{error}; {hint}", error.status) from None
        self._app = first_id(get_path(parsed_json(answer.body), "app_id")) or ""
        return answer

    async def _get(self, path: str, query: Mapping[str, str] | None = None) -> "Answer":
        return await self._tokens.call(lambda token: self.client.get(path, query, Authorization=token))

    async def check(self) -> str:
        """Return the name of the REST app, once it lists events, and objects are not refused to it. Raise ApiError.

        Which features an app has shows in what it is refused (403), also of an object that does not exist.
        """
        await self._get(EVENTS, {"page_size": "1"})
        if self.access.confirm == "api":
            for path in NO_OBJECTS:
                with suppress(NotFoundError, ApiUnexpectedError):  # whatever it finds wrong with such an id
                    await self._get(path)
        return f"REST app {self._app or 'without a name'}"

    async def list_events(self, window: Window) -> AsyncIterator[Sequence[Listed]]:
        """Yield the events page by page; perhaps some from before the window too, as PayPal takes whole seconds."""
        query: dict[str, str] | None = {
            "start_time": _whole_second(window.since),
            "end_time": _whole_second(window.until + timedelta(seconds=1)),
            "page_size": str(PAGE_EVENTS),
        }
        pages = Pages(_ABOUT)
        while query is not None:
            pages.next(str(query))
            page, members = await self._page(query, window)
            yield [each for each in page if each.parsed.occurred_at is None or each.parsed.occurred_at < window.until]
            query = _next_query(members)

    async def _page(self, query: Mapping[str, str], window: Window) -> tuple[list[Listed], Mapping[str, object]]:
        try:
            answer = await self._get(EVENTS, query)
        except ApiUnexpectedError as error:
            if _is_too_old(error):
                raise ApiUnexpectedError(
                    f"PayPal lists no events from as long ago as {window.since:%Y-%m-%d %H:%M}: ask for later ones"
                ) from None
            raise
        found, members = read_page(answer.body, "events", _ABOUT)
        return [listed(each, self._listed) for each in found], members

    def _listed(self, body: bytes) -> Listed:
        event = read_json(AnyEvent, body)
        return Listed(identify(event, event.id, mode_of(event) or self.access.mode), body)

    def must_ask(self, event: Event) -> bool:
        """Return whether its type reports money: of the body no more than a CRC-32 is ever signed."""
        return event.signed != "api" and event.type in TYPES

    async def fetch(self, event: Event) -> Fetched:
        """Return the event with its object as it is now."""
        named = named_object(event)
        return fetched_event(event, named, (await self._get(named.path)).body)


def _whole_second(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _next_query(members: Mapping[str, object]) -> dict[str, str] | None:
    """Return the query of the link to the next page, None on the last one. Samples write it with `&amp;`."""
    for link in items(members.get("links")):
        address = get_path(link, "href")
        if get_path(link, "rel") != "next" or not isinstance(address, str):
            continue
        url = read_address(address.replace("&amp;", "&"), _ABOUT)
        if url.path.rstrip("/") != EVENTS or not url.query:
            raise ApiUnexpectedError(f"{_ABOUT}: the address of the next page is not one of that list")
        return dict(url.query)
    return None


def _is_too_old(error: ApiUnexpectedError) -> bool:
    """Return whether PayPal refused the beginning of the window."""
    answer = parsed_json(error.body) if error.status == 400 else None
    fields = [get_path(each, "field") for each in items(get_path(answer, "details"))]
    return get_path(answer, "name") == "VALIDATION_ERROR" and any("start_time" in str(each) for each in fields)
