"""What an event says about itself besides its money: whether it is about test money, and whose account it is about."""

from collections.abc import Mapping

from contract.event import TEXT_CHARS_MAX, Mode
from contract.text import has_refused_character
from providers.payload import first_id


def first_account(*candidates: object) -> str:
    """Return the first candidate that can name an account, "" for none. An account is never a reason to refuse."""
    for candidate in candidates:
        name = None if candidate is None else first_id(candidate)
        if name and len(name) <= TEXT_CHARS_MAX and not has_refused_character(name):
            return name
    return ""


def mode_of_flag(is_live: object) -> Mode | None:
    """Return the mode of a flag that is true for live events, as JSON or as text; None for any other value."""
    if is_live is True:
        return "live"
    if is_live is False:
        return "test"
    return _MODES.get(is_live.lower()) if isinstance(is_live, str) else None


_MODES: Mapping[str, Mode] = {"true": "live", "false": "test"}
