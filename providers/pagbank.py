"""PagBank (PagSeguro): `x-authenticity-token: <hex SHA-256 of "<account token>-<body>">`, no HMAC.

Source: developer.pagbank.com.br, "Confirmar autenticidade da notificação".

* Anyone who has seen such a digest can extend the body. What they append begins with the byte 0x80, so that the body is
  no longer JSON and is refused when it is read.
* The sandbox often omits the header, and recurring payments use another, undocumented one: both are refused.
* A notification is a snapshot of an order or a charge, without an event id. The status may stay the same while the
  refunded amount grows, so the id is a digest of the body.
"""

from typing import Any, ClassVar

from providers import signing
from providers.base import ParsedEvent, Request
from providers.complete import Items
from providers.models import Model
from providers.payload import digest_id, first_id, first_timestamp, get_path, read_json
from providers.raw_body import RawBody, Scheme

KINDS = {"ORDE_": "order", "CHAR_": "charge", "CHEC_": "checkout", "SUBS_": "subscription"}
KIND_OTHER = "object"
STATUS_UNKNOWN = "unknown"


class _Snapshot(Model):
    """An order or a charge. An order has no status; its charges do."""

    id: str
    status: Any = None
    charges: Items[Any] = ()
    paid_at: Any = None
    created_at: Any = None


class PagBank(RawBody):
    """PagBank's notifications, one per request."""

    name: ClassVar[str] = "pagbank"
    scheme: ClassVar[Scheme] = Scheme(header="x-authenticity-token", mac=signing.sha256_behind_key)

    def parse(self, request: Request) -> list[ParsedEvent]:
        """Return the one event, whose type is the state: `order.paid`, `charge.declined`. Raise PayloadError."""
        snapshot = read_json(_Snapshot, request.body)
        charge = snapshot.charges[-1] if snapshot.charges else None
        kind = next((kind for prefix, kind in KINDS.items() if snapshot.id.startswith(prefix)), KIND_OTHER)
        status = first_id(snapshot.status, get_path(charge, "status")) or STATUS_UNKNOWN
        return [
            ParsedEvent(
                event_id=f"{status.lower()}:{digest_id(request.body)}",
                type=f"{kind}.{status.lower()}",
                # Every notification of an order has the order's id, whichever charge changed.
                resource=snapshot.id,
                occurred_at=first_timestamp(snapshot.paid_at, get_path(charge, "paid_at"), snapshot.created_at),
            )
        ]
