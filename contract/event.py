"""The envelope: one provider event, and how it is written to and read from an entry of the stream."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Literal, cast, get_args

from contract.text import has_refused_character

ENVELOPE_VERSION = "1"

NAME_CHARS_MAX = 64
TEXT_CHARS_MAX = 255

TIMES_CACHED = 1024
"""Timestamps in a cache: events come in bursts, and most providers send whole seconds."""

Signed = Literal["body", "fields", "weak", "reference", "api"]
"""What the signature covers: `body` every byte; `fields` some (Adyen's eight); `weak` a CRC-32 (PayPal);
`reference` only an id, not the body (Mercado Pago). `api`: nothing is signed, the provider's API said it over TLS."""

Origin = Literal["delivery", "reconcile"]
"""How an event came: the provider delivered it, or it was found in the provider's list."""

Mode = Literal["live", "test"]
"""Whether an event is about real money, or about what somebody tries out in the provider's test mode."""

_quoted = json.encoder.encode_basestring_ascii

_SIGNED: frozenset[str] = frozenset(get_args(Signed))
_ORIGINS: frozenset[str] = frozenset(get_args(Origin))
_MODES: frozenset[str | None] = frozenset({*get_args(Mode), None})
_NAMES = ("source", "namespace", "provider")
_IDENTIFIERS = ("event_id", "type", "resource")


class EnvelopeError(ValueError):
    """The event cannot be stored, or the entry is not an envelope that this version reads. The text is safe to show."""


@dataclass(slots=True)
class Event:
    """One event of a provider, ready to be published or just read.

    `event_id` identifies it within `namespace`. `resource` is the payment it is about: events of one payment are locked
    and merged together. `occurred_at` is the provider's time (None if it sends none), `received_at` the gateway's; both
    are aware UTC. `body` is the exact bytes that were verified, `headers` the few that a reader needs (lower-case
    names), `traceparent` the W3C trace context of the delivery or "". `mode` is what the event says about itself, None
    if it does not say; `account` is the provider's account whose money it is about, "" if the event names none.
    `origin` says how it came.

    Never changed, but not frozen: a frozen dataclass sets each field by a call, which is measurable where events pass.

    Raise EnvelopeError for an empty or over-long name, a control character or a lone surrogate in one (see
    `contract.text`), and a time without a zone.
    """

    source: str
    namespace: str
    provider: str
    event_id: str
    type: str
    resource: str
    occurred_at: datetime | None
    received_at: datetime
    signed: Signed
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    traceparent: str = ""
    mode: Mode | None = None
    account: str = ""
    origin: Origin = "delivery"

    def __post_init__(self) -> None:
        if not self._has_valid_texts():
            for name in _NAMES:
                _check_text(name, getattr(self, name), NAME_CHARS_MAX)
            for name in _IDENTIFIERS:
                _check_text(name, getattr(self, name), TEXT_CHARS_MAX)
            if self.account:
                _check_text("account", self.account, TEXT_CHARS_MAX)
        if self.mode not in _MODES:
            raise EnvelopeError(f"mode is {self.mode!r}, neither live nor test")
        if self.signed not in _SIGNED:
            raise EnvelopeError(f"signed is {self.signed!r}, not one of {', '.join(sorted(_SIGNED))}")
        if self.origin not in _ORIGINS:
            raise EnvelopeError(f"origin is {self.origin!r}, not one of {', '.join(sorted(_ORIGINS))}")
        if self.received_at.tzinfo is None or (self.occurred_at is not None and self.occurred_at.tzinfo is None):
            raise EnvelopeError("a time has no zone")

    def _has_valid_texts(self) -> bool:
        """Return whether every text is valid, in one expression, because each event is checked twice.

        It is False for characters that are rare in ids as well, such as a no-break space: each text is then looked at.
        """
        return (
            0 < len(self.source) <= NAME_CHARS_MAX
            and 0 < len(self.namespace) <= NAME_CHARS_MAX
            and 0 < len(self.provider) <= NAME_CHARS_MAX
            and 0 < len(self.event_id) <= TEXT_CHARS_MAX
            and 0 < len(self.type) <= TEXT_CHARS_MAX
            and 0 < len(self.resource) <= TEXT_CHARS_MAX
            and len(self.account) <= TEXT_CHARS_MAX
            and (
                f"{self.source}{self.namespace}{self.provider}{self.event_id}{self.type}{self.resource}{self.account}"
            ).isprintable()
        )


FIELD_NAMES = (
    "v", "source", "namespace", "provider", "event_id", "type", "resource", "occurred_at", "received_at", "signed",
    "body", "headers", "traceparent", "mode", "account",
)  # fmt: skip
"""The fields of an entry, in the order of `to_values`. What was not delivered has a further one: `to_entry`."""


def to_values(event: Event) -> tuple[str | bytes, ...]:
    """Return the values of the entry's fields, in the order of FIELD_NAMES."""
    return (
        ENVELOPE_VERSION,
        event.source,
        event.namespace,
        event.provider,
        event.event_id,
        event.type,
        event.resource,
        _iso_cached(event.occurred_at) if event.occurred_at else "",
        _iso(event.received_at),
        event.signed,
        event.body,
        _headers_json(event.headers) if event.headers else "",
        event.traceparent,
        event.mode or "",
        event.account,
    )


def to_entry(event: Event) -> list[str | bytes]:
    """Return the entry as XADD takes it: each field's name and value, with `origin` if it was not delivered."""
    entry = [part for field_ in zip(FIELD_NAMES, to_values(event), strict=True) for part in field_]
    return entry if event.origin == "delivery" else [*entry, "origin", event.origin]


def _headers_json(headers: Mapping[str, str]) -> str:
    """Return what json.dumps does for a mapping of texts, in a third of the time."""
    return "{" + ", ".join([f"{_quoted(name)}: {_quoted(value)}" for name, value in headers.items()]) + "}"


def from_fields(fields: Mapping[bytes, bytes]) -> Event:
    """Return the event of one entry. Unknown fields are ignored, so that a newer writer may add some; the fields that
    writers before version 0.3 do not have (`mode`, `account`) may be missing, and so may `origin`.

    Raise EnvelopeError for another version, and for a missing or unreadable field.
    """
    version = fields.get(b"v")
    if version != ENVELOPE_VERSION.encode():
        raise EnvelopeError(f"envelope version {version!r} is not {ENVELOPE_VERSION!r}, the one this program reads")
    try:
        occurred_at = fields[b"occurred_at"]
        return Event(
            source=fields[b"source"].decode(),
            namespace=fields[b"namespace"].decode(),
            provider=fields[b"provider"].decode(),
            event_id=fields[b"event_id"].decode(),
            type=fields[b"type"].decode(),
            resource=fields[b"resource"].decode(),
            occurred_at=_read_time(occurred_at) if occurred_at else None,
            received_at=_read_time(fields[b"received_at"]),
            signed=cast("Signed", fields[b"signed"].decode()),
            body=fields[b"body"],
            headers=_read_headers(fields[b"headers"]),
            traceparent=fields[b"traceparent"].decode(),
            mode=cast("Mode | None", fields.get(b"mode", b"").decode() or None),
            account=fields.get(b"account", b"").decode(),
            origin=cast("Origin", fields.get(b"origin", b"delivery").decode()),
        )
    except EnvelopeError:
        raise
    except KeyError as error:
        raise EnvelopeError(f"the entry has no field {error.args[0].decode()!r}") from error
    except (ValueError, OverflowError, RecursionError) as error:
        raise EnvelopeError(f"the entry has an unreadable field: {error}") from error


def _read_time(text: bytes) -> datetime:
    time = datetime.fromisoformat(text.decode())
    return time.astimezone(UTC) if time.tzinfo else time


def _read_headers(text: bytes) -> dict[str, str]:
    headers = json.loads(text) if text else {}
    if not (isinstance(headers, dict) and all(isinstance(value, str) for value in headers.values())):
        raise EnvelopeError("the entry's headers are not names and texts")
    return headers


def _iso(time: datetime) -> str:
    """Return `isoformat()` in UTC, at a third of its cost: of two events, most often only the last digits differ."""
    utc = time if time.tzinfo is UTC else time.astimezone(UTC)
    if not utc.microsecond:
        return utc.isoformat()
    return f"{_minute(utc.toordinal(), utc.hour, utc.minute)}{utc.second:02d}.{utc.microsecond:06d}+00:00"


@lru_cache(maxsize=TIMES_CACHED)
def _minute(day: int, hour: int, minute: int) -> str:
    return f"{date.fromordinal(day).isoformat()}T{hour:02d}:{minute:02d}:"


_iso_cached = lru_cache(maxsize=TIMES_CACHED)(_iso)


def _check_text(name: str, text: str, chars_max: int) -> None:
    if not 0 < len(text) <= chars_max:
        raise EnvelopeError(f"{name} has {len(text)} characters, not 1 to {chars_max}")
    if has_refused_character(text):
        raise EnvelopeError(f"{name} has a control character or a lone surrogate")
