"""The vocabulary: what any event of any provider can tell about a payment, and what all the readers of events share."""

import json
import re
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from contract.event import TEXT_CHARS_MAX, Event
from contract.facts import Fact
from contract.money import BIGINT_MAX

Read: TypeAlias = "Callable[[Event], Sequence[Fact]]"
"""A provider's reader: what one of its events tells; nothing for a type that tells nothing about money.

Raises pydantic's ValidationError, MoneyError or UnreadableError for a type that does, and a body that is not as its
provider documents it.
"""


class UnreadableError(ValueError):
    """The event is of a type that tells about money, and cannot be read. The text is safe to show."""


class Model(BaseModel):
    """The parts of a provider's object that are read here. What else it holds is of no concern."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)


MinorUnits = Annotated[int, Field(ge=0, le=BIGINT_MAX, strict=True)]
"""An amount that the provider writes as an integer of minor units."""

Currency = Annotated[str, StringConstraints(to_upper=True, pattern="^[A-Za-z]{3}$")]
"""A code of ISO 4217, in whichever case; read as upper case."""


def _printable(text: str) -> str:
    """Takes what Postgres can hold as it is: no NUL, no lone surrogate."""
    if not text.isprintable():
        raise ValueError("has a character that cannot be printed")
    return text


Id = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=TEXT_CHARS_MAX), AfterValidator(_printable)]
"""A provider's id of a capture, a refund or a dispute, as short and as plain as an event's own id has to be."""

_DECIMAL = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")
"""An amount written as text."""


def _decimal(amount: object) -> object:
    """Takes numbers that `exactly` read, and text that says no more than a number."""
    if isinstance(amount, str) and _DECIMAL.fullmatch(amount):
        return Decimal(amount)
    if not isinstance(amount, Decimal):
        raise ValueError("not a decimal number")  # noqa: TRY004 - pydantic makes its error of a ValueError
    return amount


MajorUnits = Annotated[Decimal, BeforeValidator(_decimal)]
"""An amount that the provider writes in major units, as text or (read by `exactly`) as a number. Never a float."""


def exactly(body: bytes) -> object:
    """The JSON value with every number as a Decimal: pydantic's own JSON reader goes through floats."""
    try:
        return json.loads(body.decode(), parse_float=Decimal, parse_int=Decimal)
    except (ValueError, InvalidOperation, RecursionError) as error:
        raise UnreadableError(f"the body is not the JSON its provider documents: {type(error).__name__}") from error
