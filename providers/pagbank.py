"""PagBank (PagSeguro): `x-authenticity-token: <hex SHA-256 of "<account token>-<body>">`, no HMAC.

Source: developer.pagbank.com.br, "Confirmar autenticidade da notificação". Such a digest can be extended by whoever has
seen one: what they append begins with the byte 0x80, so that the body is no longer JSON and is refused when it is read.
The sandbox often leaves the header out, recurring payments carry another one without documentation: both are refused.

A notification is a snapshot of an order or a charge. There is no event id, and the status may stay the same while what
is refunded grows, so the id is made of the body.
"""

from typing import Any, ClassVar

from providers import signing
from providers.base import Draft, Request
from providers.payload import Body, digest_id, inside, read_json, some_name, some_time
from providers.raw_body import RawBody, Scheme

KINDS = {"ORDE_": "order", "CHAR_": "charge", "CHEC_": "checkout", "SUBS_": "subscription"}
KIND_OTHER = "object"
STATUS_UNKNOWN = "unknown"


class _Snapshot(Body):
    """An order has no status of its own; its charges have."""

    id: str
    status: Any = None
    charges: tuple[Any, ...] = ()
    paid_at: Any = None
    created_at: Any = None


class PagBank(RawBody):
    """PagBank's notifications, one a request."""

    name: ClassVar[str] = "pagbank"
    scheme: ClassVar[Scheme] = Scheme(header="x-authenticity-token", mac=signing.sha256_behind_key)

    def parse(self, request: Request) -> list[Draft]:
        """The one snapshot, named after its state: `order.paid`, `charge.declined`."""
        snapshot = read_json(_Snapshot, request.body)
        charge = snapshot.charges[-1] if snapshot.charges else None
        kind = next((kind for prefix, kind in KINDS.items() if snapshot.id.startswith(prefix)), KIND_OTHER)
        status = some_name(snapshot.status, inside(charge, "status")) or STATUS_UNKNOWN
        return [
            Draft(
                event_id=f"{status.lower()}:{digest_id(request.body)}",
                type=f"{kind}.{status.lower()}",
                # Every notification of an order has the order's id, whichever of its charges changed.
                resource=snapshot.id,
                occurred_at=some_time(snapshot.paid_at, inside(charge, "paid_at"), snapshot.created_at),
            )
        ]
