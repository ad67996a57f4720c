"""Reading verified bodies: strict pydantic models of the parts a provider needs, and times. PayloadError or a value."""

from datetime import UTC, datetime, timedelta
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from gateway.providers.base import PayloadError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Body(BaseModel):
    """The parts of a body that are read: no type is guessed from another, what is not named is ignored."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, hide_input_in_errors=True)


BodyT = TypeVar("BodyT", bound=Body)


def read_json(model: type[BodyT], body: bytes) -> BodyT:
    """The model of a JSON body. Raises PayloadError, which names fields and never their content."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise PayloadError(_explain(error)) from None


def read_values(model: type[BodyT], values: object) -> BodyT:
    """The model of a body that had to be decoded by other means. Raises PayloadError likewise."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise PayloadError(_explain(error)) from None


def time_from_unix(seconds: float) -> datetime:
    """Aware UTC from Unix seconds. Raises PayloadError outside the years 1 to 9999."""
    try:
        return EPOCH + timedelta(seconds=seconds)
    except (OverflowError, ValueError):
        raise PayloadError("a time is out of range") from None


def time_from_iso(text: str) -> datetime:
    """Aware UTC from ISO 8601; a time without a zone is UTC. Raises PayloadError."""
    try:
        time = datetime.fromisoformat(text)
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (OverflowError, ValueError):
        raise PayloadError("a time is not ISO 8601") from None


def _explain(error: ValidationError) -> str:
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, each['loc'])) or 'the body'}: {each['msg']}" for each in problems)
