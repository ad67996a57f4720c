"""Flutterwave's API, version 3: one transaction, and the lists of transactions and refunds. It lists no events.

Sources: github.com/Flutterwave/Node-v3 (lib and documentation), developer.flutterwave.com/docs (transaction
verification, errors, rate limit), developer.flutterwave.com/v3.0.0/reference/get-all-refunds.

* A transaction is asked for by its id: one `tx_ref` may have several, and nobody says which one a search by it finds.
* Lists take whole days of a zone that nobody names, and pages by number, the newest first: a day more is asked for on
  either side, and what grows on top comes twice.
* An answer `success` says that the request was understood; `data.status` is the transaction's.
* What does not exist is answered 400, with a message of its own. So is what the key's mode cannot see: both modes are
  at one host, and the key says which it is.
* An answer has the customer and the card's token, which are not kept (`BriefTransaction`).
"""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, ClassVar, TypeVar

from pydantic import ValidationInfo, field_validator

from contract.event import Event, Mode
from providers.api import (
    Api,
    ApiUnexpectedError,
    Confirmation,
    Fetched,
    Limits,
    Listed,
    NotFoundError,
    PaymentList,
    PaymentLookup,
    Window,
    segment,
)
from providers.api_access import ApiAccess, KeyAccess, require_prefix
from providers.api_objects import PREFIX, listed_object, readable, unreadable_object
from providers.api_pages import as_documented, parsed_json, read_page
from providers.base import ParsedEvent, PayloadError
from providers.flutterwave_v3.facts import TYPES, extract_facts
from providers.flutterwave_v3.models import BriefRefund, BriefTransaction, TransactionAnswer
from providers.flutterwave_v3.models import Event as AnyEvent
from providers.flutterwave_v3.webhook import payment_of
from providers.models import Model
from providers.payload import first_id, first_timestamp, get_path, read_decimal_json, read_json
from providers.secret import Secret

if TYPE_CHECKING:
    from providers.api_client import Answer

HOST = "https://api.flutterwave.com"
PAGES_MAX = 10_000
"""Of one window, at 10 transactions a page."""

PENDING = "pending"

_PREFIXES: Mapping[Mode, str] = {"live": "FLWSECK-", "test": "FLWSECK_TEST-"}
_NOT_FOUND = "no transaction was found"

ItemT = TypeVar("ItemT", BriefTransaction, BriefRefund)


class FlutterwaveV3Access(KeyAccess):
    """The access of a Flutterwave account: its secret key. It is neither the secret hash nor the public key."""

    @field_validator("api_key")
    @classmethod
    def _is_of_the_mode(cls, key: Secret, info: ValidationInfo) -> Secret:
        return require_prefix(key, _PREFIXES, info, what="a secret key")


class FlutterwaveV3Api(Api, PaymentList, PaymentLookup, Confirmation):
    """The transactions of one account."""

    name: ClassVar[str] = "flutterwave_v3"
    Access: ClassVar[type[ApiAccess]] = FlutterwaveV3Access
    base_urls: ClassVar[Mapping[Mode, str]] = {"live": HOST, "test": HOST}
    limits: ClassVar[Limits | None] = Limits(timeout_s=20.0, requests_per_s_max=5.0)
    """Flutterwave publishes no numbers, and limits those further who ask again too soon."""

    reach: ClassVar[timedelta] = timedelta(days=365)
    """No end is documented: what is older is for a person to ask for, with a window of its own."""

    overlap: ClassVar[timedelta] = timedelta(days=3)
    """Lists are by the time something was made. A transaction by bank transfer may be pending for a while."""

    unlisted: ClassVar[str] = (
        "chargebacks, and a transaction or refund that was made before the overlap and ended since"
    )

    access: FlutterwaveV3Access

    async def _get(self, path: str, query: Mapping[str, str] | None = None) -> "Answer":
        try:
            return await self.client.get(path, query, Authorization=self.access.bearer())
        except ApiUnexpectedError as error:
            if error.status == 400 and _NOT_FOUND in _message(error.body):
                raise NotFoundError(f"GET {path} answered that there is no such transaction") from None
            raise

    async def check(self) -> str:
        """Read the balances. Flutterwave names no account."""
        items, _ = read_page((await self._get("/v3/balances")).body, "data", "GET /v3/balances")
        currencies = sorted({first_id(get_path(parsed_json(each), "currency")) or "?" for each in items})
        return f"a Flutterwave account, {self.access.mode} mode, with balances in {', '.join(currencies) or 'nothing'}"

    def must_ask(self, event: Event) -> bool:
        """Return whether its type reports money: nothing of an event is signed."""
        return event.signed != "api" and event.type in TYPES

    async def fetch(self, event: Event) -> Fetched:
        """Return the transaction that the event names, once it is of the event's payment.

        An event comes once an attempt has ended. What the API still shows as pending is asked for again: confirmed as
        it is, its capture would be missing until the next comparison.
        """
        with as_documented("the event"):
            claimed = read_json(AnyEvent, event.body).data
        id_ = first_id(claimed.id)
        if id_ is None or not (id_.isascii() and id_.isdecimal()):
            raise NotFoundError("the event names no transaction")
        transaction = await self._verified(id_)
        if payment_of(transaction) != event.resource:
            raise NotFoundError("the transaction that the event names is not of the event's payment")
        claimed_status = first_id(claimed.status)
        if _status(transaction.status) == PENDING and claimed_status and _status(claimed_status) != PENDING:
            raise NotFoundError("the API does not show yet how the transaction ended")
        return Fetched(body=_written(data=transaction), type=event.type)

    async def _verified(self, id_: str) -> BriefTransaction:
        """Return one transaction."""
        transaction = _answered(await self._get(f"/v3/transactions/{segment(id_)}/verify"))
        if transaction.id != id_:
            raise ApiUnexpectedError("the API answered with another transaction than the one that was asked for")
        return transaction

    async def list_payments(self, window: Window) -> AsyncIterator[Sequence[Listed]]:
        """Yield the transactions and the refunds that were made in a window."""
        unreadable = list[Listed]()
        days = {"from": _day(window.since - timedelta(days=1)), "to": _day(window.until + timedelta(days=1))}
        async for transactions in self._pages("/v3/transactions", days, BriefTransaction, unreadable):
            yield [self._transaction(each) for each in transactions if _is_in(window, each.created_at)]
        async for refunds in self._pages("/v3/refunds", days, BriefRefund, unreadable):
            yield [
                await readable(self._refund_alone(each), each.model_dump_json().encode(), f"{PREFIX}refund")
                for each in refunds if _is_in(window, each.created_at)
            ]  # fmt: skip
        yield unreadable

    async def fetch_payment(self, payment_id: str) -> Sequence[Listed]:
        """Return the transaction that has this reference, and its refunds. Of several, Flutterwave chooses one."""
        answer = await self._get("/v3/transactions/verify_by_reference", {"tx_ref": payment_id})
        transaction = _answered(answer)
        if payment_of(transaction) != payment_id:
            raise ApiUnexpectedError("the API answered with another transaction than the one that was asked for")
        listed = [self._transaction(transaction)]
        async for refunds in self._pages("/v3/refunds", {"id": transaction.id}, BriefRefund):
            if any(each.tx_id != transaction.id for each in refunds):
                raise ApiUnexpectedError("the API lists refunds of other transactions than the one that was asked for")
            listed += [self._refund(each, transaction) for each in refunds]
        return listed

    async def _refund_alone(self, refund: BriefRefund) -> Listed:
        """Return a refund with its transaction. Raise ApiUnexpectedError where that is not there."""
        try:
            return self._refund(refund, await self._verified(refund.tx_id))
        except NotFoundError:
            raise ApiUnexpectedError("the transaction of a refund is not there") from None

    def _transaction(self, transaction: BriefTransaction) -> Listed:
        return self._listed("transaction", transaction.id, transaction, transaction.created_at, data=transaction)

    def _refund(self, refund: BriefRefund, transaction: BriefTransaction) -> Listed:
        """Return a refund with its transaction, which has its currency and its payment."""
        return self._listed("refund", refund.id, transaction, refund.created_at, data=refund, transaction=transaction)

    def _listed(self, kind: str, id_: str, of: BriefTransaction, at: object, **body: Model) -> Listed:
        parsed = ParsedEvent(
            event_id=id_,
            type=f"{PREFIX}{kind}",
            resource=payment_of(of) or of.id,
            occurred_at=first_timestamp(at),
            mode=self.access.mode,
        )
        return listed_object(self, extract_facts, parsed, _written(**body))

    async def _pages(
        self, path: str, query: Mapping[str, str], model: type[ItemT], unreadable: list[Listed] | None = None
    ) -> AsyncIterator[list[ItemT]]:
        """Yield the objects of a list, each once. It has as many pages as the page that was read last says.

        `unreadable` gets those that cannot be read; without it they raise ApiUnexpectedError.
        """
        read_before, kind = set[str](), path.rpartition("/")[2].removesuffix("s")
        for number in range(1, PAGES_MAX + 1):
            answer = await self._get(path, {**query, "page": str(number)})
            items, members = read_page(answer.body, "data", f"GET {path}")
            page = list[ItemT]()
            for item in items:
                try:
                    page.append(read_decimal_json(model, item))
                except PayloadError as error:
                    if unreadable is None:
                        raise ApiUnexpectedError(f"GET {path}: {error}") from None
                    unreadable.append(unreadable_object(item, str(error), f"{PREFIX}{kind}"))
            new = list({each.id: each for each in page if each.id not in read_before}.values())
            read_before.update(each.id for each in new)
            yield new
            pages = get_path(members, "meta", "page_info", "total_pages")
            if number >= pages if isinstance(pages, int) else not new:
                return
        raise ApiUnexpectedError(f"GET {path} has more than {PAGES_MAX} pages")


def _answered(answer: "Answer") -> BriefTransaction:
    with as_documented("a transaction of Flutterwave's"):
        return read_decimal_json(TransactionAnswer, answer.body).data


def _written(**body: Model) -> bytes:
    """Return the body of an event, of what is kept of each object."""
    return json.dumps({name: each.model_dump(exclude_none=True) for name, each in body.items()}).encode()


def _status(text: str | None) -> str:
    return (text or "").lower()


def _day(time: datetime) -> str:
    return f"{time:%Y-%m-%d}"


def _is_in(window: Window, created_at: object) -> bool:
    """Return whether something was made in the window; what has no time may have been."""
    return (first_timestamp(created_at) or window.since) in window


def _message(body: bytes) -> str:
    return str(get_path(parsed_json(body), "message")).lower()
