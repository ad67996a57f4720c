"""A little traffic to several sources, and events that make a fault."""

import asyncio
import itertools
import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import aiohttp

from tests.support.cases.mercadopago import REQUEST_ID, signature
from tests.support.events import HMAC_SECRET, SOURCES_TOML, Signed, hmac_event, signed_hmac, signed_stripe, stripe_event
from tests.support.flows import MERCADO_PAYMENT
from tests.support.load import client, deliver

PAUSE_S = 0.2
"""Between two rounds of the traffic."""

MERCADO_SECRET = "of mercado pago"

SOURCES = f"""
{SOURCES_TOML}
[quiet]
provider = "hmac"
secrets = ["{HMAC_SECRET}"]

[strangers]
provider = "hmac"
secrets = ["{HMAC_SECRET}"]

[mercado]
provider = "mercadopago"
secrets = ["{MERCADO_SECRET}"]
currency = "EUR"
"""


class Traffic:
    """A few genuine events a second to four sources, whatever the answers, and more of a kind that a test asks for."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._numbers = itertools.count(1)
        self._ending = asyncio.Event()
        self.silent: set[str] = set()
        """Sources that get nothing."""
        self.also: Callable[[int], Signed] | None = None
        """What else is sent in each round."""

    async def run(self) -> None:
        """Send until `end`."""
        async with client() as session:
            while not self._ending.is_set():
                await self._round(session, next(self._numbers))
                await asyncio.wait([asyncio.ensure_future(self._ending.wait())], timeout=PAUSE_S)

    def end(self) -> None:
        """Let `run` return."""
        self._ending.set()

    async def _round(self, session: aiohttp.ClientSession, number: int) -> None:
        each = [signed_stripe(stripe_event(f"evt_{number}", f"pay-{number}"))]
        each += [of_source(source, f"pay-{number}") for source in ("default", "quiet") if source not in self.silent]
        each.append(notification_of_mercado_pago())
        each += [self.also(number)] if self.also else []
        await asyncio.gather(*(deliver(session, self._url, signed) for signed in each), return_exceptions=True)


def of_source(source: str, payment: str, **fields: str) -> Signed:
    """Return a genuine event of a source that has the in-house format."""
    return signed_hmac(hmac_event(payment, **fields), path="/webhook" if source == "default" else f"/webhooks/{source}")


def order_of_mercado_pago() -> Signed:
    """Return a paid order. Its signature covers the order's id only, so that it moves no money unless it is trusted."""
    data = {"id": "ord1", "status": "processed", "status_detail": "accredited", "total_amount": "10.00",
            "total_paid_amount": "10.00", "transactions": {"payments": [MERCADO_PAYMENT]}}  # fmt: skip
    return _of_mercado_pago("order", "order.processed", data)


def notification_of_mercado_pago() -> Signed:
    """Return one without money."""
    return _of_mercado_pago("payment", "payment.updated", {"id": "pay1"})


def _of_mercado_pago(kind: str, action: str, data: Mapping[str, object]) -> Signed:
    subject, at_ms = str(data["id"]), int(time.time() * 1000)
    date = datetime.now(UTC).isoformat()
    body = {"id": at_ms, "action": action, "type": kind, "live_mode": True, "date_created": date, "data": data}
    headers = {
        "x-signature": signature(MERCADO_SECRET, at_ms, subject).decode(),
        "x-request-id": REQUEST_ID,
        "Content-Type": "application/json",
    }
    return Signed(f"/webhooks/mercado?data.id={subject}&type={kind}", json.dumps(body).encode(), headers, subject)
