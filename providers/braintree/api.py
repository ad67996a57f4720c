"""Braintree's API: the search of transactions, and that of disputes. It has no list of notifications.

Sources: developer.paypal.com/braintree/docs/reference/general/searching, and the braintree package, whose requests
these are: XML, which notifications carry too, with the same ids.

* A search returns ids, and a second request at most 50 objects of them. It is sent the ids only: with the conditions
  repeated, as the package does, what has changed meanwhile would be left out.
* No search is by the time of the last change. But each status has a time of its own, so that one search for each finds
  what happened in a window, however old the transaction is. `settlement_declined` has none: hence the overlap.
* A minute is added to the end of every range, so that windows overlap.
* At most 50,000 ids are returned (10,000 in older documents), and then some may be left out anywhere. A search that
  takes too long is answered 422, or 200 without results. Either way the window is halved.
* Disputes are searched by the day on which a status took effect.
* Nothing in a key says its mode: the host of the other mode refuses it.
* No notification reports an ordinary card's sale, nor a void after it was submitted. Both are found here.
"""

import contextlib
import json
import math
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, ClassVar
from xml.etree.ElementTree import Element, SubElement, tostring

from pydantic import Field

from contract.event import Mode
from providers.api import (
    Api,
    ApiUnavailableError,
    ApiUnexpectedError,
    Limits,
    Listed,
    PaymentList,
    PaymentLookup,
    Window,
    segment,
)
from providers.api_access import ApiAccess, basic
from providers.api_objects import PREFIX, listed_object, unreadable_object
from providers.api_pages import as_documented
from providers.braintree.facts import extract_facts
from providers.braintree.models import SUBJECT, read_xml, text_at
from providers.braintree.webhook import parse_payload
from providers.facts import UnreadableError
from providers.secret import Secret

API_VERSION = "6"
"""The version of the answers, as the braintree package asks for it."""

IDS_MAX = 10_000
"""With as many ids or more, an answer may be cut: the smaller of the numbers that are documented."""

PAGE = 50
"""The most transactions that one request may name."""

PAGES_MAX = 10_000

A_DAY = timedelta(days=1)

WINDOW_MIN = timedelta(seconds=2)
"""A shorter window is not halved: times have whole seconds."""

TIMES = (
    "created_at",
    "authorized_at",
    "submitted_for_settlement_at",
    "settled_at",
    "voided_at",
    "failed_at",
    "gateway_rejected_at",
    "processor_declined_at",
    "authorization_expired_at",
    "ach_return_responses_created_at",
)
"""The times by which transactions are searched. Those of disbursements and disputes change no transaction."""


class BraintreeAccess(ApiAccess):
    """The access of a Braintree merchant. Its key pair may be another one than that of the notifications."""

    credentials: ClassVar[tuple[str, ...]] = ("merchant_id", "api_public_key", "api_private_key")

    merchant_id: Annotated[str, Field(pattern="^[A-Za-z0-9_-]{1,64}$")]
    api_public_key: Secret
    api_private_key: Secret


class TooManyError(Exception):
    """A search has more results than it can return, or takes too long."""


class BraintreeApi(Api, PaymentList, PaymentLookup):
    """The transactions and disputes of one merchant, of all its merchant accounts."""

    name: ClassVar[str] = "braintree"
    Access: ClassVar[type[ApiAccess]] = BraintreeAccess
    base_urls: ClassVar[Mapping[Mode, str]] = {
        "live": "https://api.braintreegateway.com",
        "test": "https://api.sandbox.braintreegateway.com",
    }
    limits: ClassVar[Limits | None] = Limits(timeout_s=60.0, concurrent_max=2, requests_per_s_max=5.0)

    reach: ClassVar[timedelta] = timedelta(days=365)
    """No end is documented: what is older is for a person to ask for, with a window of its own."""

    overlap: ClassVar[timedelta] = timedelta(days=7)
    unlisted: ClassVar[str] = "a settlement that was declined more than the overlap after its last other change"

    access: BraintreeAccess

    async def check(self) -> str:
        """Search the transactions of the last minute, which needs the same right as every other search."""
        now = datetime.now(UTC)
        try:
            await self._search_ids("created_at", Window(now - timedelta(minutes=1), now))
        except TooManyError:
            raise ApiUnavailableError("a search of one minute has too many results, or takes too long") from None
        return f"Braintree merchant {self.access.merchant_id}, {self.access.mode} mode"

    async def list_payments(self, window: Window) -> AsyncIterator[Sequence[Listed]]:
        """Yield the transactions of which any status is of the window, and the disputes of its days."""
        async for ids in self._changed(window):
            for first in range(0, len(ids), PAGE):
                yield await self._transactions(ids[first : first + PAGE])
        first_day, last_day = _day(window.since) - A_DAY, _day(window.until) + A_DAY  # of a zone that nobody names
        days = {"min": _at(first_day), "max": _at(last_day)}
        async for disputes in self._disputes(_search("effective_date", days)):
            yield disputes

    async def fetch_payment(self, payment_id: str) -> Sequence[Listed]:
        """Return a transaction, its refunds and its disputes."""
        transaction = await self._transaction(payment_id)
        refunds = [each.text or "" for each in transaction.iterfind("refund-ids/item")]
        listed = [self._listed(transaction)]
        for first in range(0, len(refunds), PAGE):
            listed += await self._transactions(refunds[first : first + PAGE])
        async for disputes in self._disputes(_search("transaction_id", {"is": payment_id})):
            listed += disputes
        return listed

    async def _changed(self, window: Window) -> AsyncIterator[Sequence[str]]:
        """Yield the ids of a window, those of each half by themselves where they are too many."""
        ids = dict[str, None]()
        try:
            for time in TIMES:
                ids.update(dict.fromkeys(await self._search_ids(time, window)))
        except TooManyError:
            if window.until - window.since < WINDOW_MIN:
                raise ApiUnavailableError("a search of two seconds has too many results, or takes too long") from None
            for half in window.halves():
                async for each in self._changed(half):
                    yield each
            return
        yield list(ids)

    async def _search_ids(self, time: str, window: Window) -> list[str]:
        """Return the ids of the transactions with this time in the window. Raise TooManyError."""
        span = {"min": _at(window.since), "max": _at(window.until, math.ceil)}
        try:
            root = await self._post("/transactions/advanced_search_ids", _search(time, span))
        except ApiUnexpectedError as error:
            if error.status == 422:
                raise TooManyError from None
            raise
        ids = [each.text for each in root.iterfind("ids/item") if each.text]
        if root.tag != "search-results" or len(ids) >= IDS_MAX:
            raise TooManyError
        return ids

    async def _transactions(self, ids: Sequence[str]) -> list[Listed]:
        """Return the transactions of these ids, at most PAGE. One that a page leaves out is read by itself.

        So is each of a page that fails again and again, which may be because it is too large.
        """
        found = dict[str | None, Element]()
        with contextlib.suppress(ApiUnavailableError):
            root = await self._post("/transactions/advanced_search", _search_of(ids))
            found = {text_at(each, "id"): each for each in root.iterfind("transaction")}
        for id_ in ids:
            if id_ not in found:
                found[id_] = await self._transaction(id_)
        return [self._readable(each) for each in found.values()]

    async def _transaction(self, id_: str) -> Element:
        return _root(await self._get(f"/transactions/{segment(id_)}"), "transaction")

    async def _disputes(self, search: bytes) -> AsyncIterator[Sequence[Listed]]:
        for number in range(1, PAGES_MAX + 1):
            root = await self._post("/disputes/advanced_search", search, {"page": str(number)})
            yield [self._readable(each) for each in root.iterfind("dispute")]
            total, size = text_at(root, "total-items") or "0", text_at(root, "page-size") or "0"
            if not (total.isdecimal() and size.isdecimal()) or number * int(size) >= int(total) or not int(size):
                return
        raise ApiUnexpectedError(f"a search of disputes has more than {PAGES_MAX} pages")

    def _readable(self, object_: Element) -> Listed:
        """Return an object as an event, marked where it cannot be read: that ends nothing."""
        try:
            return self._listed(object_)
        except ApiUnexpectedError as error:
            named = json.dumps({"id": text_at(object_, "id")}).encode()
            return unreadable_object(named, str(error), f"{PREFIX}{object_.tag}")

    def _listed(self, object_: Element) -> Listed:
        """Return an object as the subject of a notification, by which it is named and read as a webhook's is."""
        id_ = text_at(object_, "id")
        if id_ is None:
            raise ApiUnexpectedError(f"an answer of Braintree's has a {object_.tag} without an id")
        notification = Element("notification")
        SubElement(notification, "kind").text = f"{PREFIX}{object_.tag}"
        SubElement(notification, "timestamp").text = text_at(object_, "created-at")
        SubElement(notification, SUBJECT).append(object_)
        try:
            body = b64encode(tostring(notification))
        except RecursionError:
            raise ApiUnexpectedError(f"a {object_.tag} in an answer of Braintree's is nested beyond reason") from None
        with as_documented("an answer of Braintree's"):
            (about,) = parse_payload(body)
        return listed_object(self, extract_facts, replace(about, event_id=id_, body=None), body)

    async def _post(self, path: str, search: bytes, query: Mapping[str, str] | None = None) -> Element:
        answer = await self.client.post(self._path(path), query, form=search, **self._headers())
        return _root(answer.body)

    async def _get(self, path: str) -> bytes:
        return (await self.client.get(self._path(path), None, **self._headers())).body

    def _path(self, path: str) -> str:
        return f"/merchants/{self.access.merchant_id}{path}"

    def _headers(self) -> dict[str, str]:
        return {
            "Authorization": basic(self.access.api_public_key, self.access.api_private_key),
            "X-ApiVersion": API_VERSION,
            "Accept": "application/xml",
            "Content-Type": "application/xml",
        }


def _day(time: datetime) -> datetime:
    return time.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _at(time: datetime, whole: Callable[[float], int] = math.floor) -> str:
    """Return a time in whole seconds, as searches have it."""
    return datetime.fromtimestamp(whole(time.timestamp()), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _search(name: str, conditions: Mapping[str, str]) -> bytes:
    """Return the request of a search by one field: `min` and `max` are times, all else is text."""
    root = Element("search")
    field = SubElement(root, name)
    for condition, value in conditions.items():
        element = SubElement(field, condition, {"type": "datetime"} if condition in ("min", "max") else {})
        element.text = value
    return tostring(root)


def _search_of(ids: Sequence[str]) -> bytes:
    root = Element("search")
    array = SubElement(root, "ids", {"type": "array"})
    for id_ in ids:
        SubElement(array, "item").text = id_
    return tostring(root)


def _root(document: bytes, tag: str | None = None) -> Element:
    """Return the root of an answer. Raise ApiUnexpectedError where it is no XML, or of another kind."""
    try:
        root = read_xml(document)
    except UnreadableError as error:
        raise ApiUnexpectedError(f"an answer of Braintree's is not XML: {error}") from None
    if tag not in (None, root.tag):
        raise ApiUnexpectedError(f"an answer of Braintree's is a {root.tag}, not a {tag}")
    return root
