"""Razorpay's API: its lists of payments, refunds and disputes. It has no list of events.

Sources: razorpay.com/docs/api (authentication, understand, payments, refunds, disputes), and the razorpay package.

* An item of a list is the very entity that webhooks carry, with the same id.
* Lists are by the time an object was made: `from` and `to` in whole seconds, of which nobody says whether they belong
  to the range. What becomes of an object later does not bring it back: a bank's late authorization comes within 3 days,
  a normal refund within 7 working days. Hence the overlap.
* Pages are cut by `skip`, the newest first, and nothing says that there are more: a page with fewer items than asked
  for is the last one. New objects cannot move the pages, because `to` is never in the future.
* Disputes have no documented range of time. They are read, newest first, as far back as a dispute may still change.
* An object that does not exist is answered 400. No limit of requests is published, nor a Retry-After: 429 is tried
  again after a while.
* The mode is in the key's id (rzp_test_, rzp_live_) and in no object. The account's id is in no object either.
"""

import contextlib
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

from pydantic import ValidationInfo, field_validator

from contract.event import Mode
from providers.api import (
    Api,
    ApiUnexpectedError,
    Limits,
    Listed,
    NotFoundError,
    PaymentList,
    PaymentLookup,
    Window,
    segment,
)
from providers.api_access import ApiAccess, basic, require_prefix
from providers.api_objects import PREFIX, listed_object, read_each
from providers.api_pages import as_documented, read_page
from providers.base import ParsedEvent
from providers.models import Id, Model
from providers.payload import EPOCH, first_timestamp, read_json
from providers.razorpay.facts import extract_facts
from providers.secret import Secret

PAGE = 100
"""The most objects that Razorpay puts on a page."""

SKIP_MAX = 2_000
"""The furthest into a list that a page is asked for, while the range of time can be halved instead."""

PAGES_MAX = 1_000
"""Of a list without a range of time: 100,000 objects."""

DISPUTE_CHANGES = timedelta(days=120)
"""How long after it was raised a dispute is read again."""

KNOWN_MAX = 50_000
"""Of how many payments it is remembered that they were captured, for their refunds: what was captured stays so."""

_PREFIXES: Mapping[Mode, str] = {"live": "rzp_live_", "test": "rzp_test_"}
_ABOUT = "an object of Razorpay's"
_NO_SUCH_ID = b"id provided does not exist"


class Entity(Model):
    """An item of a list, as far as it is named and dated. `payment_id`: of a refund or a dispute."""

    id: Id
    payment_id: Id | None = None
    created_at: int | None = None


class BriefPayment(Entity):
    """A payment as far as a refund's facts need it, without what is personal."""

    amount: Any = None
    currency: Any = None
    status: Any = None
    captured: Any = None


class RazorpayAccess(ApiAccess):
    """The access of a Razorpay account: an API key, which has an id and a secret. It is not the webhook's secret."""

    credentials: ClassVar[tuple[str, ...]] = ("key_id", "key_secret")

    key_id: Secret
    key_secret: Secret

    @field_validator("key_id")
    @classmethod
    def _is_of_the_mode(cls, key_id: Secret, info: ValidationInfo) -> Secret:
        return require_prefix(key_id, _PREFIXES, info, what="the id of a key")


class RazorpayApi(Api, PaymentList, PaymentLookup):
    """The payments of one account."""

    name: ClassVar[str] = "razorpay"
    Access: ClassVar[type[ApiAccess]] = RazorpayAccess
    base_urls: ClassVar[Mapping[Mode, str]] = {"live": "https://api.razorpay.com", "test": "https://api.razorpay.com"}
    limits: ClassVar[Limits | None] = Limits(requests_per_s_max=5.0)

    reach: ClassVar[timedelta] = timedelta(days=365)
    """No end is documented: what is older is for a person to ask for, with a window of its own."""

    overlap: ClassVar[timedelta] = timedelta(days=10)
    unlisted: ClassVar[str] = (
        "a payment or refund that was made before the overlap and changed since, and a dispute raised 120 days before"
    )

    access: RazorpayAccess

    def __init__(self, access: ApiAccess) -> None:
        super().__init__(access)
        self._captured = dict[str, bytes]()

    async def check(self) -> str:
        """Read one payment. Razorpay names no account."""
        await self._page("/v1/payments", {"count": "1"})
        return f"a Razorpay account, {self.access.mode} mode, whose payments can be read"

    async def list_payments(self, window: Window) -> AsyncIterator[Sequence[Listed]]:
        """Yield the payments and refunds that were made in a window, and the disputes that may have changed in it."""
        async for items in self._made_in("/v1/payments", window):
            yield await read_each(items, self._payment, f"{PREFIX}payment")
        async for items in self._made_in("/v1/refunds", window):
            yield await read_each(items, self._refund, f"{PREFIX}refund")
        oldest = window.since - DISPUTE_CHANGES
        async for items in self._pages("/v1/disputes", oldest):
            in_time = [item for item in items if _is_in(Window(oldest, window.until), item)]
            yield await read_each(in_time, self._dispute, f"{PREFIX}dispute")

    async def fetch_payment(self, payment_id: str) -> Sequence[Listed]:
        """Return the payment and its refunds. No list of disputes is of one payment."""
        path = f"/v1/payments/{segment(payment_id)}"
        payment = (await self._get(path, {})).strip()
        brief, listed = self._remember(payment), [self._listed("payment", payment)]
        async for items in self._pages(f"{path}/refunds", EPOCH):
            listed += [self._listed("refund", item, brief) for item in items]
        return listed

    async def _payment(self, item: bytes) -> Listed:
        self._remember(item)
        return self._listed("payment", item)

    async def _dispute(self, item: bytes) -> Listed:
        return self._listed("dispute", item)

    async def _refund(self, item: bytes) -> Listed:
        """Return a refund with its payment, of which it has to be known whether it was ever captured.

        Raise ApiUnexpectedError where that is not there.
        """
        payment_id = _read(item).payment_id or ""
        payment = self._captured.get(payment_id)
        if payment is None:
            try:
                payment = self._remember(await self._get(f"/v1/payments/{segment(payment_id)}", {}))
            except NotFoundError:
                raise ApiUnexpectedError("the payment of a refund is not there") from None
        return self._listed("refund", item, payment)

    def _remember(self, payment: bytes) -> bytes:
        """Return what a refund's facts need of its payment, and keep it for others if it was captured."""
        with as_documented(_ABOUT):
            brief = read_json(BriefPayment, payment)
        text = brief.model_dump_json().encode()
        if brief.captured is True:
            if len(self._captured) >= KNOWN_MAX:
                self._captured.pop(next(iter(self._captured)))
            self._captured[brief.id] = text
        return text

    def _listed(self, kind: str, item: bytes, payment: bytes = b"") -> Listed:
        """Return an entity as the payload of an event, in which each is a member of its own."""
        entity = _read(item)
        with_payment = b', "payment": {"entity": ' + payment + b"}" if payment else b""
        body = b'{"payload": {"%s": {"entity": %s}%s}}' % (kind.encode(), item, with_payment)
        about = ParsedEvent(
            event_id=entity.id,
            type=f"{PREFIX}{kind}",
            resource=entity.payment_id or entity.id,
            occurred_at=first_timestamp(entity.created_at),
        )
        return listed_object(self, extract_facts, about, body)

    async def _made_in(self, path: str, window: Window) -> AsyncIterator[list[bytes]]:
        """Yield the pages of a list by time, a second wider than the window; halve it where it has too many pages."""
        from_s, to_s = math.floor(window.since.timestamp()) - 1, math.ceil(window.until.timestamp()) + 1
        can_be_halved = to_s - from_s > 4
        for skip in range(0, SKIP_MAX, PAGE):
            items = await self._page(path, _query(skip, {"from": str(from_s), "to": str(to_s)}))
            if skip == 0 and can_be_halved and _expected(items, to_s - from_s) > SKIP_MAX:
                break
            yield [item for item in items if _is_in(window, item)]
            if len(items) < PAGE:
                return
        if not can_be_halved:
            raise ApiUnexpectedError(f"GET {path}: more than {SKIP_MAX} objects were made in one second")
        for half in window.halves():
            async for items in self._made_in(path, half):
                yield items

    async def _pages(self, path: str, oldest: datetime) -> AsyncIterator[list[bytes]]:
        """Yield the pages of a list without a range of time, up to the first one of which everything is older."""
        for skip in range(0, PAGES_MAX * PAGE, PAGE):
            items = await self._page(path, _query(skip, {}))
            yield items
            if len(items) < PAGE or all(_made_at(item, oldest) < oldest for item in items):
                return
        raise ApiUnexpectedError(f"GET {path} has more than {PAGES_MAX} pages")

    async def _page(self, path: str, query: Mapping[str, str]) -> list[bytes]:
        return read_page(await self._get(path, query), "items", f"GET {path}")[0]

    async def _get(self, path: str, query: Mapping[str, str]) -> bytes:
        try:
            answer = await self.client.get(path, query, Authorization=basic(self.access.key_id, self.access.key_secret))
        except ApiUnexpectedError as error:
            if error.status == 400 and _NO_SUCH_ID in error.body:
                raise NotFoundError(f"GET {path} answered 400: there is no such object") from None
            raise
        return answer.body


def _query(skip: int, range_: Mapping[str, str]) -> dict[str, str]:
    return {**range_, "count": str(PAGE), "skip": str(skip)}


def _read(item: bytes) -> Entity:
    with as_documented(_ABOUT):
        return read_json(Entity, item)


def _made_at(item: bytes, unknown: datetime) -> datetime:
    """Return when an object was made; `unknown` where it does not say so, or cannot be read."""
    with contextlib.suppress(ApiUnexpectedError):
        return first_timestamp(_read(item).created_at) or unknown
    return unknown


def _is_in(window: Window, item: bytes) -> bool:
    """Return whether an object was made in the window; one without a time may have been."""
    return _made_at(item, window.since) in window


def _expected(items: Sequence[bytes], span_s: int) -> float:
    """Return how many objects a range of time has, if they are made as often as those of its first page."""
    if len(items) < PAGE:
        return len(items)
    times = [_made_at(item, EPOCH).timestamp() for item in items]
    return PAGE * span_s / max(max(times) - min(times), 1.0)
