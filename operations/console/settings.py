"""The settings of the console. Built only in `__main__.py` files."""

import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated

from pydantic import Field, SecretStr, field_validator

from operations.console.access import Account, read_accounts
from runtime.settings import LogLevel, ProgramSettings

_PORT = re.compile(r":[0-9]*$")


class Settings(ProgramSettings):
    """All settings of the console besides those that it shares with the workers."""

    console_host: str = "127.0.0.1"
    """The address where the console listens. Beyond this host, put a proxy with TLS before it."""

    console_port: Annotated[int, Field(ge=0, le=65_535)] = 9180
    """The console's port; 0: no console; unset: 9180 if free."""

    console_password_hash: SecretStr = SecretStr("")
    """Who may sign in: hashes of `python -m operations password`, or name:roles:hash of several people, with spaces."""

    console_trusted_proxies: str = ""
    """Addresses or networks of proxies that sign people in: their X-Forwarded-User is believed; with spaces."""

    console_hosts: str = ""
    """Names by which browsers reach the console, with spaces; localhost and addresses are always right."""

    console_session_s: Annotated[float, Field(gt=0)] = 28_800
    """How long a sign-in lasts without a request."""

    console_connections_max: Annotated[int, Field(ge=1)] = 256
    """Open connections; where all are taken, the one that has waited longest for its client gives way."""

    gateway_operators_url: str = ""
    """The address of the gateway's operators' port, where the console reads its figures; unset: the stack writes it."""

    console_log_level: LogLevel | None = None
    """The console's own level; unset: LOG_LEVEL."""

    @field_validator("console_password_hash")
    @classmethod
    def _accounts_can_be_read(cls, text: SecretStr) -> SecretStr:
        read_accounts(text.get_secret_value())
        return text

    @field_validator("console_trusted_proxies")
    @classmethod
    def _proxies_can_be_read(cls, text: str) -> str:
        for each in text.split():
            try:
                ip_network(each)
            except ValueError:
                raise ValueError("it is not a list of addresses or networks, such as 10.0.0.5 10.1.0.0/16") from None
        return text

    def is_own_host(self, host: str) -> bool:
        """Return whether a `Host` header names this console: as localhost, by an address, or as in CONSOLE_HOSTS."""
        name = _PORT.sub("", host).lower().rstrip(".")
        try:
            ip_address(name.strip("[]"))
        except ValueError:
            return name == "localhost" or name.endswith(".localhost") or name in self.console_hosts.lower().split()
        return True

    @property
    def accounts(self) -> list[Account]:
        """The people who may sign in with a password."""
        return read_accounts(self.console_password_hash.get_secret_value())

    @property
    def proxies(self) -> list[IPv4Network | IPv6Network]:
        """The networks of the proxies that are believed."""
        return [ip_network(each) for each in self.console_trusted_proxies.split()]
