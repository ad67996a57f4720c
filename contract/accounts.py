"""Posting rules: which events of a source may move money, and between which accounts."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, cast, get_args

from contract.event import TEXT_CHARS_MAX, Event, Mode

Trust = Literal["signed", "all"]
"""Which events may move money: `signed`, those whose whole body is signed; `all`, every genuine event."""

Confirm = Literal["api"]
"""`api`: what no signature proves is asked of the provider's API, and booked as it says."""

Capture = Literal["manual", "automatic"]
"""`automatic`: the provider captures each payment that it authorizes, and sends no event for the capture."""

OWN_ACCOUNT = "own"
"""What `{account}` stands for where an event names no account: it is about the provider's account that owns the
webhook. Stripe, for example, names only connected accounts."""

ACCOUNTS: Mapping[str, str] = {"provider": "provider:{source}", "merchant": "merchant", "disputes": "disputes"}
"""The name of the account in each role. A name is a template; a source may set its own."""

PLACEHOLDERS = frozenset({"source", "namespace", "provider", "account", "currency", "payment"})
"""Names that a template may hold in braces."""

_PLACEHOLDER = re.compile(rf"\{{({'|'.join(PLACEHOLDERS)})\}}")
_BRACE = re.compile("[{}]")


class PostingRulesError(ValueError):
    """A source's posting rules cannot be used. The text is safe to show."""


@dataclass(frozen=True, slots=True)
class PostingRules:
    """One source's rules, as sources.toml sets them."""

    trust: Trust = "signed"
    capture: Capture = "manual"
    accounts: Mapping[str, str] = field(default_factory=lambda: dict(ACCOUNTS))
    mode: Mode = "live"
    confirm: Confirm | None = None

    @classmethod
    def from_table(cls, table: Mapping[str, object]) -> "PostingRules":
        """Return the rules in a source's table. Raises PostingRulesError."""
        confirm = table.get("confirm")
        return cls(
            cast("Trust", check_choice("trust", table.get("trust", "signed"), get_args(Trust))),
            cast("Capture", check_choice("capture", table.get("capture", "manual"), get_args(Capture))),
            check_accounts(table.get("accounts", {})),
            cast("Mode", check_choice("mode", table.get("mode", "live"), get_args(Mode))),
            None if confirm is None else cast("Confirm", check_choice("confirm", confirm, get_args(Confirm))),
        )

    def is_of_other_mode(self, event: Event) -> bool:
        """Return whether the event says that it is of the other mode: it is recorded, and moves nothing."""
        return event.mode is not None and event.mode != self.mode


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> str:
    """Return the value if it is one of the choices. Raises PostingRulesError."""
    if not isinstance(value, str) or value not in choices:
        raise PostingRulesError(f"{name} is not one of {', '.join(choices)}")
    return value


def check_accounts(value: object) -> dict[str, str]:
    """Return the template of every account: the source's own, else the default. Raises PostingRulesError."""
    if not isinstance(value, Mapping):
        raise PostingRulesError("not a table")
    if unknown := sorted(map(str, value.keys() - ACCOUNTS.keys())):
        raise PostingRulesError(f"{', '.join(unknown)} is not one of {', '.join(ACCOUNTS)}")
    accounts = {**ACCOUNTS, **value}
    for role, template in accounts.items():
        _check_template(role, template)
    if accounts["provider"] in (accounts["merchant"], accounts["disputes"]):
        raise PostingRulesError("provider is also another account, so that nothing could move between the two")
    return accounts


def _check_template(role: str, template: object) -> None:
    if not isinstance(template, str) or not 0 < len(template) <= TEXT_CHARS_MAX or not template.isprintable():
        raise PostingRulesError(f"{role} is not a text of 1 to {TEXT_CHARS_MAX} printable characters")
    if _BRACE.search(_PLACEHOLDER.sub("", template)):
        raise PostingRulesError(f"{role} has braces around other than {', '.join(sorted(PLACEHOLDERS))}")
