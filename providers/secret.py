"""A signing secret that cannot be empty and cannot be printed."""

from typing import Any, NoReturn, final

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

HIDDEN = "Secret(hidden)"


@final
class Secret:
    """One signing secret. Only `reveal` shows it: no repr, message, dump or pickle does.

    Raises ValueError where there is nothing to hide: empty, or white space only.
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
        """The secret itself."""
        return self._text

    def __repr__(self) -> str:
        return HIDDEN

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not written anywhere, so it cannot be pickled or copied")

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: type[Any], _handler: GetCoreSchemaHandler) -> CoreSchema:
        """Built from a string; written out as the hidden form in every kind of dump."""
        return core_schema.no_info_plain_validator_function(
            _from_input, serialization=core_schema.plain_serializer_function_ser_schema(lambda _secret: HIDDEN)
        )


def _from_input(value: object) -> Secret:
    if isinstance(value, Secret):
        return value
    if not isinstance(value, str):
        raise ValueError("a secret is not text")  # noqa: TRY004 - pydantic turns a ValueError into its own
    return Secret(value)
