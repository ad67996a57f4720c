"""The settings of the notifier. Built only in `__main__.py` files."""

import re
from ipaddress import ip_address
from typing import Annotated, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from providers.signing import key_from_base64
from providers.standard_webhooks import SECRET_PREFIX
from runtime.settings import ProgramSettings

KEY_BYTES_MIN, KEY_BYTES_MAX = 24, 64
"""What the specification of Standard Webhooks asks of a secret."""

URL_CHARACTERS_MAX = 4096


class Settings(ProgramSettings):
    """All settings of the notifier besides those that it shares with the workers."""

    notify_url: SecretStr = SecretStr("")
    """Where messages go about what waits for a person (docs/observability.md); it is a secret; unset: nowhere."""

    notify_secret: SecretStr = SecretStr("")
    """What signs these messages: whsec_ and 24 to 64 random bytes in base64; the receiver has the same."""

    notify_delay_s: Annotated[float, Field(ge=0, le=86_400)] = 30
    """How long something waits before a message says so, and is over before one says so: a burst is one message."""

    notify_repeat_s: Annotated[float, Field(ge=60)] = 14_400
    """How long until a message about what still waits is sent again."""

    notify_oldest_s: Annotated[float, Field(gt=0)] = 300
    """The age of the oldest entry that is not applied, above which it waits for a person."""

    notify_audit_s: Annotated[float, Field(gt=0)] = 691_200
    """The time since the last audit after which the next one is overdue."""

    console_url: str = ""
    """The console's address as people's browsers reach it, for these messages; unset: the stack writes it."""

    gateway_operators_url: str = ""
    """The address of the gateway's operators' port, where the console reads its figures; unset: the stack writes it."""

    @field_validator("notify_url")
    @classmethod
    def _url_can_be_used(cls, url: SecretStr) -> SecretStr:
        if text := url.get_secret_value():
            _check_url(text)
        return url

    @field_validator("notify_secret")
    @classmethod
    def _secret_is_a_key(cls, secret: SecretStr) -> SecretStr:
        if secret.get_secret_value():
            _key(secret)
        return secret

    @model_validator(mode="after")
    def _is_signed(self) -> Self:
        if self.notify_url.get_secret_value() and not self.notify_secret.get_secret_value():
            raise ValueError(
                "NOTIFY_SECRET: it is not set, and NOTIFY_URL is; the receiver checks messages by it. "
                "`echo whsec_$(openssl rand -base64 32)` prints one"
            )
        return self

    @property
    def is_asked_for(self) -> bool:
        """Whether there is somebody to notify."""
        return bool(self.notify_url.get_secret_value())

    @property
    def key(self) -> bytes:
        """The key that NOTIFY_SECRET holds. Raise ValueError where it is not set."""
        return _key(self.notify_secret)


def _key(secret: SecretStr) -> bytes:
    text = secret.get_secret_value()
    if not text.startswith(SECRET_PREFIX):
        raise ValueError(f"it does not begin with {SECRET_PREFIX}")
    key = key_from_base64(text.removeprefix(SECRET_PREFIX))
    if not KEY_BYTES_MIN <= len(key) <= KEY_BYTES_MAX:
        raise ValueError(f"it has {len(key)} bytes, not {KEY_BYTES_MIN} to {KEY_BYTES_MAX}")
    return key


def _check_url(text: str) -> None:
    """Raise ValueError, whose text has nothing of the address."""
    if len(text) > URL_CHARACTERS_MAX or not re.fullmatch(r"[!-~]+", text):
        raise ValueError(f"it is not an address: it has white space or odd characters, or more than "
                         f"{URL_CHARACTERS_MAX} of them")  # fmt: skip
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("it is not an address that can be read") from None
    if not host or port == 0:
        raise ValueError("it is not an address that can be read")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts)):
        raise ValueError("it does not begin with https://; only an address of this host may begin with http://")


def _is_loopback(parts: SplitResult) -> bool:
    host = parts.hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
