"""Mollie's API: payments with their captures, refunds and chargebacks, and the lists of all three.

Sources: docs.mollie.com/reference (get-payment, list-payments, list-all-refunds, list-all-chargebacks) and
docs.mollie.com/overview/pagination. One host; the key's prefix is the mode, and a key sees no object of the other one.

* Its limits are each account's own, and only the dashboard names them: a 429 is waited for.
* One GET of a payment with `embed=captures,refunds,chargebacks` says all that happened to it.
* A list is from the newest to the oldest by creation, and cannot be searched by time: it is read until its objects are
  older than the window. Where pages begin is remembered, so that windows of the past are not read from today on.
* `from` is the first object of the page itself, and a next page is an address: only the id in it is used.
* A refund is listed when it was asked for, and may reach the customer days later; so may a bank transfer be paid.
  Hence the overlap, and each of our own unfinished payments can be looked up.
* A refund or chargeback whose payment is not known is the first object of the list that begins with it.
"""

import contextlib
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import ClassVar, TypeVar

from pydantic import model_validator
from typing_extensions import override

from contract.event import Event, Mode
from providers.account import first_account
from providers.api import (
    Api,
    ApiUnexpectedError,
    Confirmation,
    Fetched,
    Listed,
    NotFoundError,
    PaymentList,
    PaymentLookup,
    Window,
)
from providers.api_access import ApiAccess, KeyAccess
from providers.api_objects import listed_object, read_each
from providers.api_pages import as_documented, read_address, read_page
from providers.base import ParsedEvent, PayloadError
from providers.models import Model
from providers.mollie import facts, fetched
from providers.mollie.classic import TYPE_PAYMENT, MollieClassic
from providers.mollie.models import FETCHED_CHARGEBACK, FETCHED_PAYMENT, FETCHED_REFUND, Entity, Made, Part, Payment
from providers.mollie.models import Event as Envelope
from providers.mollie.webhook import MODES, Mollie
from providers.payload import first_id, first_timestamp, get_path, member_and_rest, read_json

PAGE_ITEMS = 250
"""The most that a page may have."""

PAGES_MAX = 4000
"""Of one list: a million objects."""

STARTS_MAX = 10_000
"""Beginnings of pages that are remembered."""

EMBED = "captures,refunds,chargebacks"

_KEY = re.compile(r"(?P<mode>live|test)_\w+")
_ID = re.compile(r"(?P<kind>tr|re|chb)_[A-Za-z0-9]{1,100}")
_LISTS: Mapping[str, str] = {"re": "refunds", "chb": "chargebacks"}
"""The lists by the kind of their objects' ids."""

_TYPES: Mapping[str, str] = {"refunds": FETCHED_REFUND, "chargebacks": FETCHED_CHARGEBACK}

ModelT = TypeVar("ModelT", bound=Model)


class MollieAccess(KeyAccess):
    """The key of one website profile."""

    @model_validator(mode="after")
    def _key_is_of_the_mode(self) -> "MollieAccess":
        """Refuse what is no key of a profile: an organization's token (`access_…`) is asked for in another way."""
        key = _KEY.fullmatch(self.api_key.reveal())
        if key is None:
            raise ValueError("api_key is no API key of a website profile, live_… or test_…")
        if key["mode"] != self.mode:
            raise ValueError(f"api_key is a key of mode {key['mode']}, and the source's mode is {self.mode}")
        return self


class MollieApi(Api, PaymentList, PaymentLookup, Confirmation):
    """The API of one website profile."""

    name: ClassVar[str] = Mollie.name
    Access: ClassVar[type[ApiAccess]] = MollieAccess
    base_urls: ClassVar[Mapping[Mode, str]] = {"live": "https://api.mollie.com", "test": "https://api.mollie.com"}
    reach: ClassVar[timedelta] = timedelta(days=365)
    overlap: ClassVar[timedelta] = timedelta(days=7)
    unlisted: ClassVar[str] = (
        "refunds that reach the customer more than the overlap after they were made, and further captures that come "
        "more than that after their payment was made"
    )

    names_account: ClassVar[bool] = True
    """Whether the events that are delivered name the account: what is listed is booked under the same one."""

    access: MollieAccess

    def __init__(self, access: MollieAccess) -> None:
        super().__init__(access)
        self._starts: dict[str, dict[str, datetime]] = {}

    async def check(self) -> str:
        """Return the profile, as its newest payment names it."""
        payments, _ = await self._page("payments", {"limit": "1"})
        profile = first_account(_read(Entity, payments[0], "GET /v2/payments").profile_id) if payments else ""
        return f"profile {profile}, {self.access.mode}" if profile else f"a profile in mode {self.access.mode}"

    @override
    def must_ask(self, event: Event) -> bool:
        """Return whether the event is a payment's id, or names an object ("simple" payload) without its amount."""
        if event.provider == MollieClassic.name:
            return event.signed == "reference" and event.type == TYPE_PAYMENT
        if event.signed != "body" or event.type not in facts.TYPES or not _ID.fullmatch(event.resource):
            return False
        try:
            embedded = read_json(Envelope, event.body).embedded
        except PayloadError:
            return False
        return embedded is None or embedded.entity is None

    @override
    async def fetch(self, event: Event) -> Fetched:
        kind = _kind_of(event.resource)
        payment_id = await self._payment_of(event.resource, _LISTS[kind]) if kind in _LISTS else event.resource
        return Fetched((await self._payment(payment_id))[0], FETCHED_PAYMENT)

    @override
    async def fetch_payment(self, payment_id: str) -> Sequence[Listed]:
        return [self._listed_payment(*await self._payment(payment_id))]

    @override
    async def list_payments(self, window: Window) -> AsyncIterator[Sequence[Listed]]:
        async for items in self._items("payments", window):
            yield await read_each(items, self._whole, FETCHED_PAYMENT)
        for name, type_ in _TYPES.items():
            async for items in self._items(name, window):
                yield await read_each(items, partial(self._part, name), type_)

    async def _get(self, path: str, query: Mapping[str, str]) -> bytes:
        answer = await self.client.get(path, query, Authorization=self.access.bearer())
        return answer.body

    async def _payment(self, id_: str) -> tuple[bytes, Payment]:
        """Return a payment with all that happened to it, and what is read of it."""
        if _kind_of(id_) != "tr":
            raise NotFoundError("no payment has such an id")
        about = "GET /v2/payments/{id}"
        body = await self._get(f"/v2/payments/{id_}", {"embed": EMBED})
        payment = _read(Payment, body, about)
        if payment.id != id_:
            raise ApiUnexpectedError(f"{about} answered with another payment")
        if MODES.get(payment.mode or "") != self.access.mode:
            raise ApiUnexpectedError(f"{about} answered with a payment of another mode than the key's")
        return body, payment

    async def _payment_of(self, id_: str, name: str) -> str:
        """Return the id of the payment of a refund or chargeback."""
        try:
            items, _ = await self._page(name, {"limit": "1", "from": id_})
        except ApiUnexpectedError as error:
            if error.status == 400:
                raise NotFoundError(f"GET /v2/{name} has no such object") from None
            raise
        part = _read(Part, items[0], f"GET /v2/{name}") if items else None
        payment_id = first_id(part.payment_id) if part is not None and part.id == id_ else None
        if payment_id is None:
            raise NotFoundError(f"GET /v2/{name} has no such object")
        return payment_id

    async def _page(self, name: str, query: Mapping[str, str]) -> tuple[list[bytes], str | None]:
        """Return the objects of a page, and the id with which the next one begins."""
        about = f"GET /v2/{name}"
        with as_documented(about):
            embedded, members = member_and_rest(await self._get(f"/v2/{name}", query), "_embedded")
        items, _ = read_page(embedded, name, about)
        href = get_path(members, "_links", "next", "href")
        if href is None:
            return items, None
        following = read_address(href, about).query.get("from")
        if following is None or not _ID.fullmatch(following) or following == query.get("from"):
            raise ApiUnexpectedError(f"{about} does not name where the next page begins")
        return items, following

    async def _items(self, name: str, window: Window) -> AsyncIterator[Sequence[bytes]]:
        """Yield the objects of a list that were made in a window, page by page, the newest first."""
        begin = self._beginning(name, window.until)
        for _ in range(PAGES_MAX):
            items, following = await self._page(name, {"limit": str(PAGE_ITEMS), **({"from": begin} if begin else {})})
            made = [self._made_at(name, item, window.since) for item in items]
            if items:
                self._remember(name, items[0], made[0])
            yield [item for item, at in zip(items, made, strict=True) if at in window]
            if following is None or (made and max(made) < window.since):
                return
            begin = following
        raise ApiUnexpectedError(f"GET /v2/{name} has more than {PAGES_MAX} pages")

    def _made_at(self, name: str, item: bytes, unknown: datetime) -> datetime:
        """Return when an object was made; `unknown` where it does not say so, or cannot be read."""
        with contextlib.suppress(ApiUnexpectedError):
            return first_timestamp(_read(Made, item, f"GET /v2/{name}").created_at) or unknown
        return unknown

    def _remember(self, name: str, first: bytes, made_at: datetime) -> None:
        starts = self._starts.setdefault(name, {})
        if len(starts) >= STARTS_MAX:
            starts.clear()
        with contextlib.suppress(ApiUnexpectedError):
            starts[_read(Made, first, f"GET /v2/{name}").id] = made_at

    def _beginning(self, name: str, until: datetime) -> str | None:
        """Return the object that begins the last known page with nothing of the time before `until` ahead of it."""
        newer = [(made_at, id_) for id_, made_at in self._starts.get(name, {}).items() if made_at >= until]
        return min(newer)[1] if newer else None

    async def _whole(self, item: bytes) -> Listed:
        """Return a listed payment. What was captured in parts is not listed with its captures, and is asked for."""
        payment = _read(Payment, item, "GET /v2/payments")
        return self._listed_payment(*(await self._payment(payment.id) if payment.has_captures else (item, payment)))

    def _listed_payment(self, body: bytes, payment: Payment) -> Listed:
        about = ParsedEvent(
            event_id=payment.id,
            type=FETCHED_PAYMENT,
            resource=payment.id,
            occurred_at=first_timestamp(payment.created_at),
            mode=MODES.get(payment.mode or ""),
            account=first_account(payment.profile_id) if self.names_account else "",
        )
        return listed_object(self, fetched.extract_facts, about, body)

    async def _part(self, name: str, item: bytes) -> Listed:
        part = _read(Part, item, f"GET /v2/{name}")
        payment_id = first_id(part.payment_id)
        if payment_id is None:
            raise ApiUnexpectedError(f"GET /v2/{name} has an object without its payment")
        about = ParsedEvent(
            event_id=part.id,
            type=_TYPES[name],
            resource=payment_id,
            occurred_at=first_timestamp(part.created_at),
            mode=self.access.mode,
        )
        return listed_object(self, fetched.extract_facts, about, item)


class MollieClassicApi(MollieApi):
    """The same API, for the classic webhooks."""

    name: ClassVar[str] = MollieClassic.name
    names_account: ClassVar[bool] = False


def _kind_of(id_: str) -> str:
    """Return the kind of an object by its id. Raise NotFoundError for one of another kind."""
    match = _ID.fullmatch(id_)
    if match is None:
        raise NotFoundError("no payment, refund or chargeback has such an id")
    return match["kind"]


def _read(model: type[ModelT], body: bytes, about: str) -> ModelT:
    with as_documented(about):
        return read_json(model, body)
