"""What the table of a Stripe source may say, to those who receive its events and to those who ask its API."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from contract.event import Mode
from providers.api_access import KeyAccess, refuse_other_mode
from providers.base import TimedSettings
from providers.secret import Secret

ConnectedAccount = Annotated[str, Field(pattern="^acct_[A-Za-z0-9_]{1,100}$")]
"""The id of a connected account."""

EventShape = Literal["snapshot", "thin"]
"""What the source's event destination sends: whole objects, or only their ids (https://docs.stripe.com/event-destinations).
"""

_KEY = re.compile("(?P<kind>[a-z]+)(?P<org>_org)?_(?P<mode>live|test)_.+")
"""`sk_live_…`, `rk_test_…` and the like (https://docs.stripe.com/keys)."""

_MODES: Mapping[str, Mode] = {"live": "live", "test": "test"}


class StripeSettings(TimedSettings):
    """The table of a source. The last two are about asking, and change nothing in what is received."""

    account: ConnectedAccount | None = None
    events: EventShape = "snapshot"


class StripeAccess(KeyAccess):
    """The access to one account's events and objects. A restricted key is enough: it need only read."""

    account: ConnectedAccount | None = Field(default=None, validate_default=True)
    """The account whose events are asked for: a connected one, or one of the organization that owns the key. None: the
    account that owns it."""

    events: EventShape = "snapshot"
    """Which of Stripe's two lists has what the source gets: both have each change, under ids of their own."""

    @field_validator("api_key")
    @classmethod
    def _may_read(cls, key: Secret, info: ValidationInfo) -> Secret:
        """Refuse keys for browsers, and a key of the other mode. An unknown form is for Stripe to judge."""
        match = _KEY.fullmatch(key.reveal())
        if match is None:
            return key
        if match["kind"] == "pk":
            raise ValueError("a publishable key, which may read nothing; a restricted or a secret key is needed")
        refuse_other_mode(_MODES[match["mode"]], info)
        return key

    @field_validator("account")
    @classmethod
    def _is_one_of_the_organization(cls, account: str | None, info: ValidationInfo) -> str | None:
        """Refuse the key of an organization without the account that each request with it has to name."""
        key = info.data.get("api_key")
        match = _KEY.fullmatch(key.reveal()) if key else None
        if account is None and match and match["org"]:
            raise ValueError("needed with the key of an organization (sk_org_…)")
        return account
