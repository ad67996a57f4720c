"""How a source's facts are booked: the settings of sources.toml that the gateway checks and the consumers obey."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast, get_args

from contract.event import TEXT_CHARS_MAX

Trust = Literal["signed", "all"]
"""What may move money: `signed`, only events whose every byte the signature covers; `all`, any genuine event."""

Capture = Literal["manual", "automatic"]
"""`automatic`: the provider captures what it authorizes and does not tell of it again."""

ACCOUNTS: Mapping[str, str] = {"provider": "provider:{source}", "merchant": "merchant", "disputes": "disputes"}
"""The accounts that money moves between, by the part they play. Each is a template; a source may name its own."""

PLACEHOLDERS = frozenset({"source", "namespace", "provider", "currency", "payment"})
"""What a template may hold, in braces."""

_PLACEHOLDER = re.compile(rf"\{{({'|'.join(PLACEHOLDERS)})\}}")
_BRACE = re.compile("[{}]")


class BookingError(ValueError):
    """A source's booking settings cannot be used. The text is safe to show."""


@dataclass(frozen=True, slots=True)
class Booking:
    """What a source's facts may do, and which accounts they move money between."""

    trust: Trust = "signed"
    capture: Capture = "manual"
    accounts: Mapping[str, str] = field(default_factory=lambda: dict(ACCOUNTS))

    @classmethod
    def of(cls, table: Mapping[str, object]) -> "Booking":
        """From a table of sources.toml. Raises BookingError."""
        return cls(
            cast("Trust", check_choice("trust", table.get("trust", "signed"), get_args(Trust))),
            cast("Capture", check_choice("capture", table.get("capture", "manual"), get_args(Capture))),
            check_accounts(table.get("accounts", {})),
        )


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> str:
    """The value, if it is one of these. Raises BookingError."""
    if not isinstance(value, str) or value not in choices:
        raise BookingError(f"{name} is not one of {', '.join(choices)}")
    return value


def check_accounts(value: object) -> dict[str, str]:
    """All accounts, those that the source names in place of the usual ones. Raises BookingError."""
    if not isinstance(value, Mapping):
        raise BookingError("not a table")
    if unknown := sorted(map(str, value.keys() - ACCOUNTS.keys())):
        raise BookingError(f"{', '.join(unknown)} is not one of {', '.join(ACCOUNTS)}")
    accounts = {**ACCOUNTS, **value}
    for part, template in accounts.items():
        _check_template(part, template)
    if accounts["provider"] in (accounts["merchant"], accounts["disputes"]):
        raise BookingError("provider is also another account, so that nothing could move between the two")
    return accounts


def _check_template(part: str, template: object) -> None:
    if not isinstance(template, str) or not 0 < len(template) <= TEXT_CHARS_MAX or not template.isprintable():
        raise BookingError(f"{part} is not a text of 1 to {TEXT_CHARS_MAX} printable characters")
    if _BRACE.search(_PLACEHOLDER.sub("", template)):
        raise BookingError(f"{part} has braces around other than {', '.join(sorted(PLACEHOLDERS))}")


def read_bookings(path: Path) -> dict[str, Booking]:
    """The booking settings of each source in sources.toml; its secrets are not looked at. Raises BookingError.

    Without the file there are none: every source is booked in the usual way.
    """
    bookings = {}
    for source, table in _read_tables(path).items():
        try:
            bookings[source] = Booking.of(table if isinstance(table, dict) else {})
        except BookingError as error:
            raise BookingError(f"{path}: [{source}] {error}") from error
    return bookings


def read_namespaces(path: Path) -> set[str]:
    """The namespaces of the sources in sources.toml, none without the file. Raises BookingError."""
    return {
        str(table.get("namespace", source)) if isinstance(table, dict) else source
        for source, table in _read_tables(path).items()
    }


def _read_tables(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise BookingError(f"{path} cannot be read: {error}") from error
