"""Which event of PayPal's this is, whether it was delivered or listed: its payment, its time and its mode."""

from contract.event import Mode
from providers.base import ParsedEvent
from providers.payload import first_id, first_timestamp, get_path
from providers.paypal.models import AnyEvent, AnyResource

LIVE_HOSTS = frozenset({"api.paypal.com", "api-m.paypal.com"})
"""The API's hosts. Those of the sandbox have `sandbox` in their names (developer.paypal.com/api/rest/sandbox)."""


def identify(event: AnyEvent, event_id: str, mode: Mode | None, sent_at: str | None = None) -> ParsedEvent:
    """Return the event under an id. `sent_at` is its time where it has none itself."""
    return ParsedEvent(
        event_id=event_id,
        type=event.event_type,
        resource=payment_of(event),
        occurred_at=first_timestamp(event.create_time, sent_at),
        mode=mode,
    )


def mode_of(event: AnyEvent, certificate_url: str | None = None) -> Mode | None:
    """Return the environment whose addresses the event links to, or else whose certificate signed it."""
    links = [*items(event.links), *items(event.resource.links if event.resource else None)]
    addresses = [get_path(link, "href") for link in links]
    hosts = [_host(address) for address in (*addresses, certificate_url)]
    if any(".sandbox." in f".{host}." for host in hosts):
        return "test"
    return "live" if any(host in LIVE_HOSTS for host in hosts) else None


def _host(address: object) -> str:
    return address.partition("://")[2].partition("/")[0].lower() if isinstance(address, str) else ""


def payment_of(event: AnyEvent) -> str:
    """Return the id of the payment: the capture, or the sale in the first API.

    Refunds, disputes and captured orders name it, so all events of a payment are processed together. An order with
    several captures is about itself, because each capture has an event of its own; so is an order or an authorization
    without one.
    """
    about = event.resource or AnyResource()
    captures = captures_of(about)
    return (
        first_id(
            about.sale_id,
            about.capture_id,
            get_path(_first(about.disputed_transactions), "seller_transaction_id"),
            _refunded_capture(about) if event.resource_type == "refund" else None,
            captures[0] if len(captures) == 1 else None,
            about.id,
            about.dispute_id,
        )
        or event.id
    )


def captures_of(order: AnyResource) -> list[object]:
    """Return the ids of the captures of all units of an order."""
    units = [get_path(unit, "payments", "captures") for unit in items(order.purchase_units)]
    return [get_path(capture, "id") for captures in units for capture in items(captures)]


def _refunded_capture(refund: AnyResource) -> str | None:
    """Return the id of the capture. A refund of the second API names it only in a link."""
    hrefs = [get_path(link, "href") for link in items(refund.links) if get_path(link, "rel") == "up"]
    href = _first(hrefs)
    return (
        href.rpartition("/captures/")[2].partition("/")[0] if isinstance(href, str) and "/captures/" in href else None
    )


def items(value: object) -> list[object]:
    """Return an array of JSON, an empty one for anything else."""
    return value if isinstance(value, list) else []


def _first(value: object) -> object:
    return next(iter(items(value)), None)
