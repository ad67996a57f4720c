"""How a source may ask its provider's API: settings of sources.toml that are not about signatures.

The gateway checks all but the credentials, which it never reads: only the programs that ask have them.
"""

import re
from base64 import b64encode
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator
from yarl import URL

from contract.event import TEXT_CHARS_MAX, Mode
from contract.keys import NAMESPACE_PATTERN
from providers.secret import Secret

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
"""Where a stand-in of a provider may be, for tests and for the demonstration."""

EVERY_MIN, EVERY_MAX = timedelta(minutes=1), timedelta(days=7)
"""How often a source may be reconciled."""

_SENT = re.compile("[!-~]([ -~]*[!-~])?")
"""What a credential can be: a line end that an environment variable ends in, for one, can be in no header."""

_UNITS: Mapping[str, str] = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_DURATION = re.compile(r"(?P<number>[0-9]{1,6})(?P<unit>[smhd])")


def read_duration(value: object) -> timedelta:
    """Return the duration that a text such as `90s`, `15m`, `24h` or `7d` stands for. Raise ValueError."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("not a duration such as 15m, 1h or 7d")
    return timedelta(**{_UNITS[match["unit"]]: int(match["number"])})


def _every(value: object) -> object:
    if value is None or isinstance(value, timedelta):
        return value
    every = read_duration(value)
    if not EVERY_MIN <= every <= EVERY_MAX:
        raise ValueError("not between 1m and 7d")
    return every


class AskingSettings(BaseModel):
    """What a source's table says about asking, without the credentials."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    confirm: Literal["api"] | None = None
    """`api`: an event whose signature does not prove its body is compared with what the API says, before it is booked.
    """

    reconcile_every: Annotated[timedelta | None, BeforeValidator(_every)] = None
    """How often the provider's own list is compared with what arrived. None: only when somebody asks for it."""

    reconcile_repair: bool = False
    """Whether the comparisons of `reconcile_every` also add what is missing to the stream, or only report it."""

    reconcile_types: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=TEXT_CHARS_MAX)], ...] | None, Field(min_length=1)
    ] = None
    """Which types of events are compared, as patterns such as `charge.*`. None: those that report money.

    What an endpoint has not subscribed to never arrives, and is not missing.
    """

    api_url: str | None = None
    """A stand-in on this machine, instead of the provider's own API."""

    @field_validator("api_url")
    @classmethod
    def _is_on_this_machine(cls, address: str | None) -> str | None:
        """Refuse any host but loopback: the hosts that may be asked are the provider's, and no setting adds one."""
        if address is None:
            return None
        try:
            url = URL(address)
        except ValueError:
            raise ValueError("not an address") from None
        is_local = url.scheme in ("http", "https") and url.host in LOOPBACK
        if not is_local or url.query or url.fragment or url.user or url.password:
            raise ValueError(
                f"not an http address of this machine ({', '.join(sorted(LOOPBACK))}), where a stand-in may be; "
                "without it the provider itself is asked"
            )
        return address


class ApiAccess(AskingSettings):
    """All that a program needs to ask for one source. A provider whose credentials are others extends this."""

    model_config = ConfigDict(extra="ignore")

    credentials: ClassVar[tuple[str, ...]] = ("api_key",)
    """The names of the settings that only programs that ask may read."""

    source: Annotated[str, Field(pattern=f"^{NAMESPACE_PATTERN.pattern}$")]
    namespace: Annotated[str, Field(pattern=f"^{NAMESPACE_PATTERN.pattern}$")]
    mode: Mode = "live"

    @field_validator("*")
    @classmethod
    def _can_be_sent(cls, value: object) -> object:
        if isinstance(value, Secret) and not _SENT.fullmatch(value.reveal()):
            raise ValueError("begins or ends with white space, or has a character that no credential has")
        return value


class KeyAccess(ApiAccess):
    """The access of a provider whose API takes one secret key."""

    api_key: Secret

    def bearer(self) -> str:
        """Return the value of an Authorization header with the key."""
        return f"Bearer {self.api_key.reveal()}"


def basic(user: Secret, password: Secret) -> str:
    """Return the value of an Authorization header with both."""
    pair = f"{user.reveal()}:{password.reveal()}"
    return f"Basic {b64encode(pair.encode()).decode()}"


def refuse_other_mode(key_mode: Mode | None, info: ValidationInfo) -> None:
    """Refuse a key of another mode than the source's. `key_mode` is None where the key does not say it.

    For a validator of a key's field. Raise ValueError.
    """
    mode = info.data.get("mode", key_mode)
    if key_mode is not None and key_mode != mode:
        raise ValueError(f"a key of {key_mode} mode, but the source's mode is {mode}")


def require_prefix(key: Secret, prefixes: Mapping[Mode, str], info: ValidationInfo, *, what: str) -> Secret:
    """Return a key that begins as those of the source's mode do. Raise ValueError, without the key, for any other."""
    prefix = prefixes[info.data.get("mode", "live")]
    if not key.reveal().startswith(prefix):
        raise ValueError(f"does not begin with {prefix}, as {what} of the source's mode does")
    return key
