"""A signing secret that cannot be empty and cannot be printed."""

from typing import Any, NoReturn, final

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

HIDDEN = "Secret(hidden)"


@final
class Secret:
    """One signing secret. Only `reveal` returns its text; no repr, error message, dump or pickle contains it.

    Raise ValueError for an empty text, or one of white space only.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        if not text.strip():
            raise ValueError("a secret is empty")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError("a secret is not UTF-8 text") from None
        self._text = text

    def reveal(self) -> str:
        """Return the secret's text."""
        return self._text

    def __repr__(self) -> str:
        return HIDDEN

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret must not be written anywhere, so it cannot be pickled or copied")

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: type[Any], _handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validate from a string; dump as the hidden form, in Python and in JSON."""
        return core_schema.no_info_plain_validator_function(
            _from_input, serialization=core_schema.plain_serializer_function_ser_schema(lambda _secret: HIDDEN)
        )


def _from_input(value: object) -> Secret:
    if isinstance(value, Secret):
        return value
    if not isinstance(value, str):
        raise ValueError("a secret is not text")  # noqa: TRY004 - pydantic turns a ValueError into a ValidationError
    return Secret(value)
