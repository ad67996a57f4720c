"""The facts of an event, extracted again from its body by the same functions as when it was applied."""

from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from consumers.retry import describe
from contract.accounts import PostingRules
from contract.event import Event
from contract.facts import Fact
from contract.money import MoneyError
from ledger.transfers import with_implied_facts
from providers import FACT_EXTRACTORS
from providers.facts import UnreadableError

NOT_READ = "events of this provider are recorded, and move no money"
NOT_KEPT = "its bytes are not kept any more"
ERASED = "its bytes were erased"
OTHER_MODE = "it is of the other mode than its source, and moved no money"


def read_event_facts(event: Event, rules: Mapping[str, PostingRules]) -> tuple[Sequence[Fact], str | None]:
    """Return the facts, or why they cannot be extracted. Uses the source's present posting rules."""
    read = FACT_EXTRACTORS.get(event.provider)
    if read is None:
        return (), NOT_READ
    try:
        return list(with_implied_facts(read(event), event, rules.get(event.source, PostingRules()))), None
    except (MoneyError, UnreadableError, ValidationError) as error:
        return (), describe(error) if isinstance(error, ValidationError) else str(error)
