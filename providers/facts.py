"""What every extractor of facts shares: its type, and its error."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from contract.event import Event
from contract.facts import Fact

ExtractFacts: TypeAlias = "Callable[[Event], Sequence[Fact]]"
"""Return the facts that one of a provider's events reports about a payment; none for a type that moves no money.

Raise pydantic's ValidationError, MoneyError or UnreadableError where the type does report money, and the body is not
as its provider documents it; IncompleteError where it is, and money cannot be read from it all the same.
"""


class UnreadableError(ValueError):
    """An event of a type that reports money cannot be read. The text is safe to show."""


class IncompleteError(UnreadableError):
    """A documented event lacks what money needs, such as a currency. It is recorded and counted, and moves nothing."""
