"""The base of every provider's models, and the types of their fields: ids, currencies and amounts."""

import json
import re
from decimal import Decimal, InvalidOperation
from typing import Annotated, NoReturn, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from contract.event import TEXT_CHARS_MAX
from contract.money import BIGINT_MAX
from providers.facts import UnreadableError

ValueT = TypeVar("ValueT")


class Model(BaseModel):
    """The named parts of a provider's object. Other parts are ignored, and no type is guessed from another."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, hide_input_in_errors=True)


def _none_on_error(value: object, validate: ValidatorFunctionWrapHandler) -> object:
    try:
        return validate(value)
    except ValidationError:
        return None


Lenient = Annotated[ValueT | None, WrapValidator(_none_on_error)]
"""A part that identifies an event where it can be read, such as `Lenient[Subject]`. It is None where it cannot."""

MinorUnits = Annotated[int, Field(ge=0, le=BIGINT_MAX)]
"""An amount that the provider writes as an integer of minor units."""

Currency = Annotated[str, StringConstraints(to_upper=True, pattern="^[A-Za-z]{3}$")]
"""A code of ISO 4217 in either case, read as upper case."""


def _printable(text: str) -> str:
    """Accept what Postgres can store as it is: no NUL, no lone surrogate."""
    if not text.isprintable():
        raise ValueError("has a character that cannot be printed")
    return text


Id = Annotated[str, StringConstraints(min_length=1, max_length=TEXT_CHARS_MAX), AfterValidator(_printable)]
"""A provider's id of a capture, a refund or a dispute, within the limits of an event's own id."""

_DECIMAL = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")


def _decimal(amount: object) -> object:
    """Accept the numbers of `loads_decimal`, and text that is a plain decimal number."""
    if isinstance(amount, str) and _DECIMAL.fullmatch(amount):
        return Decimal(amount)
    if not isinstance(amount, Decimal):
        raise ValueError("not a decimal number")  # noqa: TRY004 - pydantic makes its error of a ValueError
    return amount


MajorUnits = Annotated[Decimal, BeforeValidator(_decimal)]
"""An amount in major units, written as text or (read by `loads_decimal`) as a number. Never a float."""


def loads_decimal(body: bytes) -> object:
    """Return the JSON value with every number as a Decimal; pydantic's own JSON reader goes through floats.

    Raise UnreadableError.
    """
    try:
        return json.loads(body.decode(), parse_float=Decimal, parse_int=Decimal, parse_constant=_refuse)
    except (ValueError, InvalidOperation, RecursionError) as error:
        raise UnreadableError(f"the body is not the JSON its provider documents: {type(error).__name__}") from error


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
