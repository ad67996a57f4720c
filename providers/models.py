"""The base of every provider's models, and the types of their fields: ids, currencies and amounts."""

import json
import re
from decimal import Decimal, InvalidOperation
from math import inf
from typing import Annotated, Any, Self, TypeVar

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
from contract.text import has_refused_character
from providers.facts import UnreadableError
from providers.json_text import ConstantError, refuse_constant, refuse_constants, without_lone_surrogates

ValueT = TypeVar("ValueT")


class Model(BaseModel):
    """The named parts of a provider's object. Other parts are ignored, and no type is guessed from another."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, hide_input_in_errors=True)

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray, **options: Any) -> Self:  # noqa: ANN401 - pydantic's
        """Return the model of a JSON text. Raise ValidationError; UnreadableError for NaN and Infinity.

        A lone surrogate in a field that is not read does no harm (see `providers.json_text`).
        """
        text = json_data
        if not isinstance(text, bytes):
            text = text.encode() if isinstance(text, str) else bytes(text)
        try:
            refuse_constants(text)
            return super().model_validate_json(text, **options)
        except ConstantError as error:
            raise UnreadableError(f"the body is not the JSON its provider documents: {error}") from None
        except ValidationError:
            without = without_lone_surrogates(text)
            if without == text:
                raise
        return super().model_validate_json(without, **options)


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
"""A code of three letters in either case, read as upper case. Which ones can be booked is for `contract.money`."""


def _storable(text: str) -> str:
    """Accept what an event's own id may hold: no control character, no lone surrogate."""
    if has_refused_character(text):
        raise ValueError("has a control character or a lone surrogate")
    return text


Id = Annotated[str, StringConstraints(min_length=1, max_length=TEXT_CHARS_MAX), AfterValidator(_storable)]
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

    A number that is too large for any Decimal (1e99999999999999999999) becomes a float, which no model takes for an
    amount: pydantic's reader accepts it, so that the gateway has published the event. Raise UnreadableError.
    """
    try:
        text = without_lone_surrogates(body).decode()
        try:
            return _DECIMALS.decode(text)
        except InvalidOperation:
            return _DECIMALS_OR_INF.decode(text)
    except ConstantError as error:
        raise UnreadableError(f"the body is not the JSON its provider documents: {error}") from None
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"the body is not the JSON its provider documents: {type(error).__name__}") from error


def _decimal_or_inf(number: str) -> Decimal | float:
    try:
        return Decimal(number)
    except InvalidOperation:
        return inf


_DECIMALS = json.JSONDecoder(parse_float=Decimal, parse_int=Decimal, parse_constant=refuse_constant)
_DECIMALS_OR_INF = json.JSONDecoder(parse_float=_decimal_or_inf, parse_int=Decimal, parse_constant=refuse_constant)
