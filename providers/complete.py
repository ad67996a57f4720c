"""Reading what an event says about money: a part that its sender left out differs from a part that cannot be right."""

from typing import Annotated, TypeVar

from pydantic import BeforeValidator, Field, ValidationError

from providers.facts import IncompleteError
from providers.models import Model

ModelT = TypeVar("ModelT", bound=Model)
ItemT = TypeVar("ItemT")


def _object(value: object) -> object:
    return {} if value is None or value == [] else value


OrEmpty = Annotated[ModelT, BeforeValidator(_object)]
"""An object that may be null, or an empty array: some senders write an empty object so."""


def _none_if_empty(value: object) -> object:
    return None if value in ([], {}) else value


OrNone = Annotated[ModelT | None, BeforeValidator(_none_if_empty)]
"""An object that is not needed. It is None where it is null or empty, and written as an object or as an array."""


def _items(value: object) -> object:
    return () if value is None or value == {} else value


Items = Annotated[tuple[ItemT, ...], Field(strict=False), BeforeValidator(_items)]
"""An array that may be null, or an empty object."""


def read_complete(model: type[ModelT], value: object) -> ModelT:
    """Return the model of a JSON value. Raise IncompleteError or ValidationError."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        _check_incomplete(error)
        raise


def read_complete_json(model: type[ModelT], body: bytes) -> ModelT:
    """Return the model of a JSON body. Raise likewise."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        _check_incomplete(error)
        raise


def _check_incomplete(error: ValidationError) -> None:
    """Raise IncompleteError where every problem is a part that is absent, null, or no object where one is expected."""
    problems = error.errors(include_url=False, include_context=False)
    if all(each["type"] in _ABSENT or (each["input"] is None and each["loc"]) for each in problems):
        absent = ", ".join(sorted({".".join(map(str, each["loc"])) or "object" for each in problems}))
        raise IncompleteError(f"the body has no {absent}") from None


_ABSENT = frozenset({"missing", "model_type", "model_attributes_type"})
