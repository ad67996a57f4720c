"""Mercado Pago's API: payments, orders and chargebacks as they are, and which of them changed.

Sources: mercadopago.com/developers, reference of payments, refunds, chargebacks and orders. One host for all countries
and both modes. A token ends in the number of the account it is for, and an object of another account is no object.

* One sale may be an order and a payment under two ids, neither of which need name the other. `money_from` says which
  of the two is asked for and booked. A notification's type is not signed, so an id is asked for only where it can be
  one of that kind, and its account, its currency and its own id are those of the answer.
* Payments are searched by the time of their last change. A list that is read while a payment changes moves by one, so
  pages overlap. Large offsets are refused, so a window with many is read in halves.
* Orders are searched by their creation alone, 30 days at most, and each is asked for by itself: a search has no parts.
"""

import contextlib
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from typing import ClassVar

from typing_extensions import override

from contract.event import Event, Mode
from providers.account import mode_of_flag
from providers.api import (
    Api,
    ApiUnavailableError,
    ApiUnexpectedError,
    Confirmation,
    Fetched,
    Limits,
    Listed,
    NotFoundError,
    PaymentList,
    PaymentLookup,
    Window,
)
from providers.api_access import ApiAccess
from providers.api_objects import listed_object, read_each, unreadable_object
from providers.api_pages import as_documented, read_page
from providers.base import ParsedEvent
from providers.mercadopago.access import SITES, MercadoPagoAccess
from providers.mercadopago.answers import NUMBER, between, parts, plain, read, whole
from providers.mercadopago.facts import extract_facts
from providers.mercadopago.fetched import is_sale
from providers.mercadopago.models import (
    CURRENCY,
    DATA_ID,
    FETCHED_ORDER,
    FETCHED_PAYMENT,
    Account,
    Chargeback,
    FetchedPayment,
    Order,
    Payment,
)
from providers.payload import first_id, first_timestamp, read_json

PAGE_ITEMS = 100

SEARCH_ITEMS_MAX = 1000
"""Results of a search that are paged through. A search that has more is made again for each half of its time."""

SEARCH_PAGES_MAX = 50
"""Pages of one window, which may have to be read again because it changes meanwhile."""

SEARCHED_MIN = timedelta(seconds=1)
"""The shortest window that is halved."""

ORDERS_SEARCHED_MAX = timedelta(days=29)
"""The longest window of orders that is searched: 30 days, ends included, may be."""

ORDERS_PAGES_MAX = 1000

_ORDER = re.compile(r"(ORD)?[0-9A-Z]{20,32}")
_DISPUTED = frozenset({"charged_back", "in_mediation", "settled", "reimbursed"})
"""States, and details of states, of payments that may have chargebacks."""


class MercadoPagoApi(Api, PaymentList, PaymentLookup, Confirmation):
    """The API of one account."""

    name: ClassVar[str] = "mercadopago"
    Access: ClassVar[type[ApiAccess]] = MercadoPagoAccess
    base_urls: ClassVar[Mapping[Mode, str]] = {
        "live": "https://api.mercadopago.com",
        "test": "https://api.mercadopago.com",
    }
    limits: ClassVar[Limits | None] = Limits(concurrent_max=8, requests_per_s_max=10.0)
    reach: ClassVar[timedelta] = timedelta(days=365)
    lag: ClassVar[timedelta] = timedelta(minutes=2)
    overlap: ClassVar[timedelta] = timedelta(days=3)
    unlisted: ClassVar[str] = "refunds and chargebacks of orders that are older than the overlap, if orders are booked"

    access: MercadoPagoAccess

    async def check(self) -> str:
        """Return the account's number and country."""
        about = "GET /users/me"
        with as_documented(about):
            account = read_json(Account, await self._get("/users/me"))
        if first_id(account.id) != self.access.account:
            raise ApiUnexpectedError(f"{about} answered for another account than the token names")
        site = account.site_id or "an unknown site"
        if self.access.currency and SITES.get(site, self.access.currency) != self.access.currency:
            raise ApiUnexpectedError(
                f"the account is of {site}, whose currency is {SITES[site]}, and the setting currency differs"
            )
        return f"account {self.access.account} of {site}"

    @override
    def must_ask(self, event: Event) -> bool:
        return event.signed == "reference" and DATA_ID in event.headers and self.access.asked_of(event.type) is not None

    @override
    async def fetch(self, event: Event) -> Fetched:
        account = self.access.account  # a notification's own is not signed
        match self.access.asked_of(event.type):
            case "order":
                body, order = await self._order(event.resource.upper())
                return Fetched(body, FETCHED_ORDER, self._headers(order), account)
            case "payment":
                return Fetched((await self._payment(event.resource))[0], FETCHED_PAYMENT, account=account)
            case "chargeback":
                body, _ = await self._payment(await self._payment_of(event.resource), is_disputed=True)
                return Fetched(body, FETCHED_PAYMENT, account=account)
        raise NotFoundError("the notification names nothing that is booked")

    @override
    async def fetch_payment(self, payment_id: str) -> Sequence[Listed]:
        if self.access.books_orders:
            return [self._listed_order(*await self._order(payment_id.upper()))]
        return [self._listed_payment(*await self._payment(payment_id))]

    @override
    async def list_payments(self, window: Window) -> AsyncIterator[Sequence[Listed]]:
        pages = self._orders_of(window) if self.access.books_orders else self._payments_of(window)
        async for page in pages:
            yield page

    async def _get(self, path: str, query: Mapping[str, str] | None = None) -> bytes:
        answer = await self.client.get(path, query, Authorization=self.access.bearer())
        return answer.body

    # Payments

    async def _payment(self, id_: str, *, is_disputed: bool = False) -> tuple[bytes, FetchedPayment]:
        """Return a payment to this account, with its refunds and chargebacks, as one object, and what is read of it."""
        if not NUMBER.fullmatch(id_):
            raise NotFoundError("no payment has such an id")
        body = await self._get(f"/v1/payments/{id_}")
        payment = read(Payment, body, "GET /v1/payments/{id}")
        if payment.id != id_:
            raise ApiUnexpectedError("GET /v1/payments/{id} answered with another payment")
        if not self._is_ours(payment):
            raise NotFoundError("the payment is to another account, or is of test money")
        return await self._with_parts(payment, body, is_disputed=is_disputed)

    def _is_ours(self, payment: Payment) -> bool:
        """Return whether it is a payment to this account, and not one that this account made, nor test money."""
        collector = first_id(plain(payment.collector_id), plain(payment.collector.id if payment.collector else None))
        is_test = mode_of_flag(payment.live_mode) == "test"
        return collector == self.access.account and not (is_test and self.access.mode == "live")

    async def _with_parts(
        self, payment: Payment, body: bytes, *, is_disputed: bool = False
    ) -> tuple[bytes, FetchedPayment]:
        """Return one object of a payment, its refunds and its chargebacks, and what is read of it."""
        refunds, chargebacks = b"[]", b""
        if payment.transaction_amount_refunded or payment.status == "refunded":
            refunds = await self._get(f"/v1/payments/{payment.id}/refunds")
        if is_disputed or payment.status in _DISPUTED or payment.status_detail in _DISPUTED:
            about = "GET /v1/chargebacks/search"
            found = await self._get("/v1/chargebacks/search", {"payment_id": payment.id})
            chargebacks = b",".join(read_page(found, "results", about)[0])
        together = b'{"payment":%b,"refunds":%b,"chargebacks":[%b]}' % (body, refunds, chargebacks)
        return together, read(FetchedPayment, together, "the payment with its refunds and chargebacks")

    async def _payment_of(self, id_: str) -> str:
        """Return the id of the payment that a chargeback is about."""
        if not NUMBER.fullmatch(id_):
            raise NotFoundError("no chargeback has such an id")
        chargeback = read(Chargeback, await self._get(f"/v1/chargebacks/{id_}"), "GET /v1/chargebacks/{id}")
        payments = chargeback.payments if isinstance(chargeback.payments, list) else []
        if chargeback.id != id_ or len(payments) != 1 or (payment := first_id(plain(payments[0]))) is None:
            raise ApiUnexpectedError("GET /v1/chargebacks/{id} does not name the one payment it is about")
        return payment

    async def _payments_of(self, window: Window) -> AsyncIterator[Sequence[Listed]]:
        """Yield the payments that changed in a window.

        One that changes meanwhile leaves its place, and all behind it move forward by one. So a page begins with the
        last payment of the one before; if another one is there, both are read again.
        """
        offset, last = 0, b""
        for _ in range(SEARCH_PAGES_MAX):
            items, total = await self._search(window, offset)
            if total > SEARCH_ITEMS_MAX and window.until - window.since > SEARCHED_MIN:
                for half in window.halves():
                    async for page in self._payments_of(half):
                        yield page
                return
            yield [listed async for listed in self._listed(items, window)]
            if last and items[:1] != [last]:
                offset, last = max(0, offset - PAGE_ITEMS), b""
            elif not items or offset + len(items) >= total:
                return
            else:
                offset, last = offset + len(items) - 1, items[-1]
        raise ApiUnavailableError("the list of payments changed each time it was read")

    async def _search(self, window: Window, offset: int) -> tuple[Sequence[bytes], int]:
        about = "GET /v1/payments/search"
        query = {
            "range": "date_last_updated", **between(window), "sort": "date_last_updated", "criteria": "asc",
            "limit": str(PAGE_ITEMS), "offset": str(offset),
        }  # fmt: skip
        items, members = read_page(await self._get("/v1/payments/search", query), "results", about)
        return items, whole(members, "total", about)

    async def _listed(self, items: Sequence[bytes], window: Window) -> AsyncIterator[Listed]:
        for item in items:
            try:
                payment = read(Payment, item, "GET /v1/payments/search")
            except ApiUnexpectedError as error:
                yield unreadable_object(item, str(error), FETCHED_PAYMENT)
                continue
            changed_at = first_timestamp(payment.date_last_updated)
            if self._is_ours(payment) and is_sale(payment) and (changed_at is None or changed_at in window):
                yield self._listed_payment(*await self._with_parts(payment, item))

    def _listed_payment(self, body: bytes, fetched: FetchedPayment) -> Listed:
        payment = fetched.payment
        about = ParsedEvent(
            event_id=payment.id,
            type=FETCHED_PAYMENT,
            resource=payment.id,
            occurred_at=first_timestamp(payment.date_last_updated),
            mode=mode_of_flag(payment.live_mode),
            account=self.access.account,
        )
        return listed_object(self, extract_facts, about, body)

    # Orders

    async def _order(self, id_: str) -> tuple[bytes, Order]:
        """Return an order of this account, in the shape of a notification's body, and what is read of it."""
        if not _ORDER.fullmatch(id_):
            raise NotFoundError("no order has such an id")
        about = "GET /v1/orders/{id}"
        body = await self._get(f"/v1/orders/{id_}")
        order = read(Order, body, about)
        if order.id.upper().removeprefix("ORD") != id_.removeprefix("ORD"):
            raise ApiUnexpectedError(f"{about} answered with another order")
        if first_id(plain(order.user_id)) not in (None, self.access.account):
            raise NotFoundError("the order is of another account")
        return b'{"data":%b}' % body, order

    def _headers(self, order: Order) -> dict[str, str]:
        """Return what the gateway passes on with a notification. The order's own currency is the one that counts."""
        currency = order.currency or self.access.currency
        return {DATA_ID: order.id, **({CURRENCY: currency} if currency else {})}

    async def _orders_of(self, window: Window) -> AsyncIterator[Sequence[Listed]]:
        """Yield the orders that were made in a window."""
        for part in parts(window, ORDERS_SEARCHED_MAX):
            for number in range(1, ORDERS_PAGES_MAX + 1):
                about = "GET /v1/orders"
                query = {
                    **between(part), "sort_by": "created_date", "sort_order": "asc", "page": str(number),
                    "page_size": str(PAGE_ITEMS),
                }  # fmt: skip
                items, members = read_page(await self._get("/v1/orders", query), "data", about)
                yield [each async for each in self._listed_orders(items)]
                if not items or number >= whole(members, "total_pages", about):
                    break

    async def _listed_orders(self, items: Sequence[bytes]) -> AsyncIterator[Listed]:
        for item in items:
            with contextlib.suppress(NotFoundError):
                (listed,) = await read_each([item], self._whole_order, FETCHED_ORDER)
                yield listed

    async def _whole_order(self, item: bytes) -> Listed:
        return self._listed_order(*await self._order(read(Order, item, "GET /v1/orders").id.upper()))

    def _listed_order(self, body: bytes, order: Order) -> Listed:
        about = ParsedEvent(
            event_id=order.id,
            type=FETCHED_ORDER,
            resource=order.id.lower(),
            occurred_at=first_timestamp(order.last_updated_date),
            headers=self._headers(order),
            account=self.access.account,
        )
        return listed_object(self, extract_facts, about, body)
