"""A stand-in of Braintree's API: searches in XML, in two steps, as its own packages make them."""

import base64
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from aiohttp import web
from defusedxml.ElementTree import fromstring

from tests.support.stand_ins.stand_in import StandIn

PAGE = 50
CAPTURED_AT = "submitted_for_settlement_at"


@dataclass(slots=True)
class Sale:
    """A transaction. `times` are those of its statuses, by the names that searches use."""

    id: str
    amount: str
    status: str
    times: dict[str, datetime]
    type: str = "sale"
    refunds: list[str] = field(default_factory=list)
    refunded: str | None = None
    parts: list[str] = field(default_factory=list)
    history: tuple[str, ...] = ()
    currency: str = "EUR"

    def xml(self) -> str:
        at = f"{min(self.times.values()):%Y-%m-%dT%H:%M:%SZ}"
        events = "".join(
            f'<status-event><timestamp type="datetime">{at}</timestamp><status>{each}</status>'
            f"<amount>{self.amount}</amount></status-event>"
            for each in (*self.history, self.status)
        )
        return (
            f"<transaction><id>{self.id}</id><status>{self.status}</status><type>{self.type}</type>"
            f"<currency-iso-code>{self.currency}</currency-iso-code><amount>{self.amount}</amount>"
            f'<merchant-account-id>shop_eur</merchant-account-id><order-id nil="true"/>'
            f'<created-at type="datetime">{at}</created-at><updated-at type="datetime">{at}</updated-at>'
            f"<customer><email>jane@example.com</email><last-name>Jan\u00e9 &amp; Co</last-name></customer>"
            f"{nil('refunded-transaction-id', self.refunded)}{array('refund-ids', self.refunds)}"
            f"{array('partial-settlement-transaction-ids', self.parts)}"
            f'<status-history type="array">{events}</status-history><disputes type="array"/></transaction>'
        )


@dataclass(slots=True)
class Claim:
    """A dispute. `effective` is when its status took effect."""

    id: str
    transaction: str
    status: str
    effective: datetime
    amount: str = "9.00"
    won: str = "0.00"
    kind: str = "chargeback"

    def xml(self) -> str:
        at = f"{self.effective:%Y-%m-%dT%H:%M:%SZ}"
        return (
            f"<dispute><id>{self.id}</id><amount>{self.amount}</amount><amount-disputed>{self.amount}</amount-disputed>"
            f"<amount-won>{self.won}</amount-won><currency-iso-code>EUR</currency-iso-code><kind>{self.kind}</kind>"
            f'<merchant-account-id>shop_eur</merchant-account-id><created-at type="dateTime">{at}</created-at>'
            f"<status>{self.status}</status><transaction><id>{self.transaction}</id><amount>10.00</amount>"
            f"<created-at>{at}</created-at></transaction></dispute>"
        )


def nil(name: str, text: str | None) -> str:
    return f'<{name} nil="true"/>' if text is None else f"<{name}>{escape(text)}</{name}>"


def array(name: str, items: list[str]) -> str:
    return f'<{name} type="array">{"".join(f"<item>{each}</item>" for each in items)}</{name}>'


def answer(xml: str, code: int = 200) -> web.Response:
    document = f'<?xml version="1.0" encoding="UTF-8"?>\n{xml}'
    return web.Response(text=document, status=code, content_type="application/xml")


class BraintreeStandIn(StandIn):
    """One merchant. `ids_max`: what one search returns. `omits`: transactions that a page of a search leaves out."""

    def __init__(self, merchant_id: str = "a_merchant", public_key: str = "pub", private_key: str = "priv") -> None:
        super().__init__()
        self.public_key, self.private_key = public_key, private_key
        self.sales: dict[str, Sale] = {}
        self.claims: dict[str, Claim] = {}
        self.ids_max = 50_000
        self.omits = set[str]()
        router, base = self.app.router, f"/merchants/{merchant_id}"
        router.add_post(f"{base}/transactions/advanced_search_ids", self._ids)
        router.add_post(f"{base}/transactions/advanced_search", self._page)
        router.add_get(f"{base}/transactions/{{id}}", self._one)
        router.add_post(f"{base}/disputes/advanced_search", self._disputes)

    def refusal(self, request: web.Request) -> web.Response | None:
        pair = base64.b64encode(f"{self.public_key}:{self.private_key}".encode()).decode()
        headers = request.headers
        if headers.get("Authorization") != f"Basic {pair}":
            return web.Response(status=401)
        if headers.get("X-ApiVersion") != "6" or "xml" not in headers.get("Accept", ""):
            return web.Response(status=426)
        return None

    def add(self, id_: str, at: datetime, status: str = "settled", amount: str = "10.00", **members: object) -> Sale:
        """Add a sale that was made, and had its status, at this time."""
        times = {"created_at": at}
        if status in ("submitted_for_settlement", "settling", "settled"):
            times[CAPTURED_AT] = at
        sale = Sale(id_, amount, status, times, **members)  # type: ignore[arg-type]
        self.sales[id_] = sale
        return sale

    async def _ids(self, request: web.Request) -> web.Response:
        found = self._matching(await search_of(request))
        ids = "".join(f"<item>{each.id}</item>" for each in found[: self.ids_max])
        page = f'<page-size type="integer">{PAGE}</page-size>'
        return answer(f'<search-results>{page}<ids type="array">{ids}</ids></search-results>')

    async def _page(self, request: web.Request) -> web.Response:
        search = await search_of(request)
        asked = [each.text for each in search.iterfind("ids/item")]
        if len(asked) > PAGE:
            return web.Response(status=500)
        found = [each for each in self._matching(search) if each.id in asked and each.id not in self.omits]
        return answer(collection("credit-card-transactions", [each.xml() for each in found], 1, len(found)))

    async def _one(self, request: web.Request) -> web.Response:
        sale = self.sales.get(request.match_info["id"])
        return answer(sale.xml()) if sale else web.Response(status=404)

    async def _disputes(self, request: web.Request) -> web.Response:
        search, page = await search_of(request), int(request.query["page"])
        matching = [each for each in self.claims.values() if is_effective(each, search)]
        found = [each.xml() for each in matching[(page - 1) * PAGE : page * PAGE]]
        return answer(collection("disputes", found, page, len(matching)))

    def _matching(self, search: Element) -> list[Sale]:
        newest_first = sorted(self.sales.values(), key=lambda each: each.times["created_at"], reverse=True)
        fields = [each for each in search if each.tag != "ids"]
        return [each for each in newest_first if all(is_within(each.times.get(one.tag), one) for one in fields)]


async def search_of(request: web.Request) -> Element:
    search: Element = fromstring(await request.read(), forbid_dtd=True)
    assert search.tag == "search"
    return search


def is_within(time: datetime | None, range_: Element) -> bool:
    """Return whether a time is in a range, to whose end a minute is always added."""
    low, high = (datetime.fromisoformat(range_.findtext(name) or "").astimezone(UTC) for name in ("min", "max"))
    return time is not None and low <= time < high + timedelta(minutes=1)


def is_effective(claim: Claim, search: Element) -> bool:
    """Return whether a dispute is of these days, or of this transaction."""
    if (days := search.find("effective_date")) is not None:
        midnight = claim.effective.replace(hour=0, minute=0, second=0, microsecond=0)
        return is_within(midnight, days)
    return claim.transaction == search.findtext("transaction_id/is")


def collection(name: str, items: list[str], page: int, total: int) -> str:
    return (
        f'<{name} type="collection"><current-page-number type="integer">{page}</current-page-number>'
        f'<page-size type="integer">{PAGE}</page-size><total-items type="integer">{total}</total-items>'
        f"{''.join(items)}</{name}>"
    )
