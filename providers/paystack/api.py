"""Paystack's API: its lists of transactions, refunds and disputes. It has no list of events.

Sources: paystack.com/docs/api (transaction, refund, dispute, pagination) and github.com/PaystackOSS/openapi.

* The key is the one that signs webhooks, and begins with sk_live_ or sk_test_. It sees objects of its own mode only.
* Transactions have a cursor (`meta.next`), which is null, or the text "null", on the last page. Refunds and disputes
  have numbered pages; some answers of refunds leave out how many there are, and go on until one is empty.
* `from` and `to` are about when an object was made. A bank transfer succeeds days later, and a refund is processed
  within 10 working days. Hence the overlap. Disputes are read again for months.
* **A refund has another name here than in `refund.processed`**, and cannot be booked without being booked twice. So the
  sum of a transaction's processed refunds is compared, and shows in the payment; the transfer waits for the event.
* An answer may be 200 and say `"status": false`. An unknown reference is answered 400 or 404.
* Holds (preauthorizations) are not listed: they move nothing, and what is captured of one is a transaction.
* No limit of requests is published.
"""

import json
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, ClassVar, TypeVar

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
from providers.api_access import ApiAccess, KeyAccess, require_prefix
from providers.api_objects import PREFIX, listed_object, read_each, readable, unreadable_object
from providers.api_pages import Pages, as_documented, read_cursor, read_page
from providers.models import Model
from providers.payload import first_id, get_path, read_json
from providers.paystack.facts import extract_facts
from providers.paystack.models import AnyData, IdOrNumber
from providers.paystack.webhook import describe
from providers.secret import Secret

PAGE = 100
"""How many objects a page is asked for. It may have fewer, and not be the last one."""

PAGES_MAX = 10_000

MARGIN = timedelta(seconds=1)
"""Paystack does not say whether the ends of a range of time belong to it."""

DISPUTE_CHANGES = timedelta(days=120)
"""How long after it was raised a dispute is read again."""

KNOWN_MAX = 50_000
"""Of how many transactions the reference, the amount and the currency are remembered, for their refunds."""

ModelT = TypeVar("ModelT", bound=Model)

_PREFIXES: Mapping[Mode, str] = {"live": "sk_live_", "test": "sk_test_"}
_ABOUT = "an answer of Paystack's"


class PaystackAccess(KeyAccess):
    """The access of a Paystack integration: its secret key."""

    @field_validator("api_key")
    @classmethod
    def _is_of_the_mode(cls, key: Secret, info: ValidationInfo) -> Secret:
        return require_prefix(key, _PREFIXES, info, what="a secret key")


class Transaction(AnyData):
    """A transaction, as far as its refunds need it."""

    id: IdOrNumber
    amount: Any = None
    currency: Any = None


class Refund(Model):
    """A refund of the API."""

    id: IdOrNumber
    transaction: IdOrNumber
    amount: Any = None
    currency: Any = None
    status: Any = None


class One(Model):
    """An answer about one transaction."""

    data: Transaction | None = None


class Outcome(Model):
    """Whether an answer is a success. An error may be written with 200 and "false"."""

    status: Any = None


class PaystackApi(Api, PaymentList, PaymentLookup):
    """The transactions of one integration."""

    name: ClassVar[str] = "paystack"
    Access: ClassVar[type[ApiAccess]] = PaystackAccess
    base_urls: ClassVar[Mapping[Mode, str]] = {"live": "https://api.paystack.co", "test": "https://api.paystack.co"}
    limits: ClassVar[Limits | None] = Limits(requests_per_s_max=5.0)

    reach: ClassVar[timedelta] = timedelta(days=365)
    """No end is documented: what is older is for a person to ask for, with a window of its own."""

    overlap: ClassVar[timedelta] = timedelta(days=14)
    unlisted: ClassVar[str] = (
        "the names of refunds, of which only the sums are compared; holds; and what was made before the overlap"
    )

    access: PaystackAccess

    def __init__(self, access: ApiAccess) -> None:
        super().__init__(access)
        self._known = dict[str, Transaction]()

    async def check(self) -> str:
        """Read one transaction, which has to be of the source's mode. Paystack names no account."""
        items, _ = await self._page("/transaction", {"perPage": "1"})
        for item in items:
            if _read(Transaction, item).domain not in (None, self.access.mode):
                raise ApiUnexpectedError(f"the key lists transactions of another mode than {self.access.mode}")
        return f"a Paystack integration, {self.access.mode} mode, whose transactions can be read"

    async def list_payments(self, window: Window) -> AsyncIterator[Sequence[Listed]]:
        """Yield the transactions made in a window that brought money, its refunds' sums, and disputes that may change.

        What was abandoned or failed moved nothing, and is most of the list.
        """
        for status in ("success", "reversed"):
            async for items in self._transactions({"status": status, **_range(window.since, window.until)}):
                yield await read_each(items, partial(self._read, "transaction"), f"{PREFIX}transaction")
        refunds = defaultdict[str, list[Refund]](list)
        async for items in self._pages("/refund", _range(window.since, window.until)):
            for item in items:
                try:
                    refunds[(refund := _read(Refund, item)).transaction].append(refund)
                except ApiUnexpectedError as error:
                    yield [unreadable_object(item, str(error), f"{PREFIX}refunds")]
        for id_, made in refunds.items():
            item = json.dumps({"id": id_}).encode()
            yield [await readable(self._refunds_of(id_, made), item, f"{PREFIX}refunds")]
        async for items in self._pages("/dispute", _range(window.since - DISPUTE_CHANGES, window.until)):
            yield await read_each(items, partial(self._read, "dispute"), f"{PREFIX}dispute")

    async def fetch_payment(self, payment_id: str) -> Sequence[Listed]:
        """Return the transaction of a reference, the sum of its refunds, and its disputes."""
        transaction, body = await self._one(f"/transaction/verify/{segment(payment_id)}")
        listed = [self._object("transaction", transaction, body), await self._refunds(transaction, ())]
        disputes, _ = await self._page("/dispute", {"transaction": transaction.id, "perPage": str(PAGE)})
        of_it = (each for each in disputes if _transaction_id(each) == transaction.id)
        return [*listed, *[await self._read("dispute", each) for each in of_it]]

    async def _refunds_of(self, id_: str, made: Sequence[Refund]) -> Listed:
        """Return the refunds of a transaction of this id. Raise ApiUnexpectedError where that is not there."""
        transaction = self._known.get(id_)
        if transaction is None:
            try:
                transaction, _ = await self._one(f"/transaction/{segment(id_)}")
            except NotFoundError:
                raise ApiUnexpectedError("the transaction of a refund is not there") from None
            self._remember(transaction)
        return await self._refunds(transaction, made)

    async def _refunds(self, transaction: Transaction, made: Sequence[Refund]) -> Listed:
        """Return the refunds of a transaction as one object: those made in the window, and those listed for it.

        The reference documents no filter by transaction. Where it is ignored, the sum may be less than what was paid:
        a sum is the least that was refunded.
        """
        id_ = transaction.id
        refunds = {refund.id: refund for refund in made}
        if not _is_whole(transaction, made):
            items, _ = await self._page("/refund", {"transaction": id_, "perPage": str(PAGE)})
            listed = (_read(Refund, item) for item in items)
            refunds.update((refund.id, refund) for refund in listed if refund.transaction == id_)
        said = [refund.model_dump() for _, refund in sorted(refunds.items())]
        data = {"id": id_, "currency": transaction.currency, "refunds": said}
        return self._object("refunds", transaction, json.dumps({"data": data}).encode())

    def _remember(self, transaction: Transaction) -> None:
        if len(self._known) >= KNOWN_MAX:
            self._known.pop(next(iter(self._known)))
        brief = {name: getattr(transaction, name) for name in ("id", "reference", "amount", "currency", "domain")}
        times = {name: getattr(transaction, name) for name in ("paid_at", "created_at")}
        self._known[transaction.id] = Transaction.model_construct(**brief, **times)

    async def _read(self, kind: str, item: bytes) -> Listed:
        if kind == "transaction":
            self._remember(_read(Transaction, item))
        return self._object(kind, _read(AnyData, item), b'{"data": %s}' % item)

    def _object(self, kind: str, data: AnyData, body: bytes) -> Listed:
        """Return an object as the data of an event, by which its facts are read as a webhook's are."""
        id_ = first_id(data.id)
        if id_ is None:
            raise ApiUnexpectedError(f"{_ABOUT}: a {kind} has no id")
        about = describe(data, id_, f"{PREFIX}{kind}", id_)
        return listed_object(self, extract_facts, about, body)

    async def _transactions(self, conditions: Mapping[str, str]) -> AsyncIterator[list[bytes]]:
        """Yield the pages that cursors lead to; numbered ones where no cursor comes."""
        query = {**conditions, "use_cursor": "true", "perPage": str(PAGE)}
        pages = Pages("GET /transaction")
        while True:
            items, members = await self._page("/transaction", query)
            yield items
            if "next" not in query and not _has_cursor(members):
                async for items in self._pages("/transaction", conditions):
                    yield items
                return
            cursor = read_cursor(members, "meta", "next", about=_ABOUT)
            if cursor is None or cursor == "null":
                return
            query = {**query, "next": pages.next(cursor)}

    async def _pages(self, path: str, query: Mapping[str, str]) -> AsyncIterator[list[bytes]]:
        """Yield numbered pages, up to the last one that the answers name, or else to an empty one."""
        before: list[bytes] = []
        for number in range(1, PAGES_MAX + 1):
            items, members = await self._page(path, {**query, "perPage": str(PAGE), "page": str(number)})
            if not items or items == before:
                return
            yield items
            before = items
            pages = first_id(get_path(members, "meta", "pageCount"))
            if pages is not None and pages.isdecimal() and number >= int(pages):
                return
        raise ApiUnexpectedError(f"GET {path} has more than {PAGES_MAX} pages")

    async def _one(self, path: str) -> tuple[Transaction, bytes]:
        """Return a transaction, and the answer that has it as its `data`."""
        body = await self._get(path, {})
        with as_documented(_ABOUT):
            answer = read_json(One, body)
        if answer.data is None:
            raise ApiUnexpectedError(f"GET {path} answered without a transaction")
        return answer.data, body

    async def _page(self, path: str, query: Mapping[str, str]) -> tuple[list[bytes], Mapping[str, object]]:
        return read_page(await self._get(path, query), "data", f"GET {path}")

    async def _get(self, path: str, query: Mapping[str, str]) -> bytes:
        """Return the answer, which says of itself that it is a success. Raise NotFoundError, or ApiError."""
        try:
            answer = await self.client.get(path, query, Authorization=self.access.bearer())
        except ApiUnexpectedError as error:
            if error.status == 400 and b"not found" in error.body.replace(b"_", b" ").lower():
                raise NotFoundError(f"GET {path} answered 400: there is no such object") from None
            raise
        with as_documented(_ABOUT):
            is_success = read_json(Outcome, answer.body).status is True
        if not is_success:
            raise ApiUnexpectedError(f"GET {path} answered that it did not succeed")
        return answer.body


def _has_cursor(members: Mapping[str, object]) -> bool:
    """Return whether an answer says what comes next, if only that nothing does."""
    meta = members.get("meta")
    return isinstance(meta, dict) and "next" in meta


def _is_whole(transaction: Transaction, refunds: Sequence[Refund]) -> bool:
    """Return whether these refunds pay all of a transaction back, so that there are no others."""
    amounts = [each.amount for each in refunds if each.status == "processed"]
    is_known = all(type(amount) is int for amount in (transaction.amount, *amounts))
    return is_known and bool(amounts) and sum(amounts) >= transaction.amount


def _range(since: datetime, until: datetime) -> dict[str, str]:
    return {"from": _iso(since - MARGIN), "to": _iso(until + MARGIN)}


def _iso(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _read(model: type[ModelT], item: bytes) -> ModelT:
    with as_documented(_ABOUT):
        return read_json(model, item)


def _transaction_id(dispute: bytes) -> str | None:
    return first_id(get_path(_read(AnyData, dispute).transaction, "id"))
