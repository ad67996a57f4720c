"""Which characters an event's texts may have, and how those that cannot be seen are shown."""

import sys
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.event import EnvelopeError, Event
from contract.text import escaped, has_refused_character
from tests.support.events import contract_event

ODD = {
    "a no-break space": "order\u00a07",
    "a joined emoji": "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "an emoji with its variation": "\u2764\ufe0f",
    "a flag": "\U0001f1ea\U0001f1fa",
    "a soft hyphen": "a\u00adb",
    "right to left": "\u202egnp.exe",
    "a line separator": "a\u2028b\u2029c",
    "an ideographic space": "\u6771\u3000\u4eac",
    "a byte-order mark": "\ufeffa",
    "private use": "\ue000",
    "not assigned": "\u0378",
    "no character": "\uffff",
    "a tag": "\U000e0041",
}
REFUSED = ("\0", "\n", "\t", "\x1b[31m", "\x7f", "\x85", "\x9b", "\ud83d", "\udc00", "a\udfffb")


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
@pytest.mark.parametrize("name", ["event_id", "type", "resource", "account"])
def test_ids_may_have_any_text_that_can_be_stored(name: str, text: str) -> None:
    event: Event = replace(contract_event("evt_1"), **{name: text})  # type: ignore[arg-type]
    assert getattr(event, name) == text


@pytest.mark.parametrize("text", REFUSED)
@pytest.mark.parametrize("name", ["event_id", "type", "resource", "account"])
def test_control_characters_and_lone_surrogates_are_refused(name: str, text: str) -> None:
    with pytest.raises(EnvelopeError, match=f"{name} has a control character or a lone surrogate"):
        replace(contract_event("evt_1"), **{name: text})  # type: ignore[arg-type]


def test_refused_is_exactly_what_is_a_control_or_a_surrogate() -> None:
    for code in range(sys.maxunicode + 1):
        assert has_refused_character(chr(code)) == (unicodedata.category(chr(code)) in ("Cc", "Cs")), hex(code)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_an_escaped_text_has_nothing_that_cannot_be_seen(text: str) -> None:
    shown = escaped(text)
    assert all(char.isprintable() or ord(char) < 0x80 for char in shown)
    assert [char for char in shown if ord(char) < 0x20] == [char for char in text if ord(char) < 0x20]
    if all(char.isprintable() for char in text):
        assert shown == text


def test_escapes_name_the_character() -> None:
    assert escaped("a\u00a0b\u202e\U000e0041é\n") == "a\\u00a0b\\u202e\\U000e0041é\n"
    assert escaped("\U0001f468\u200d\U0001f469") == "\U0001f468\\u200d\U0001f469"
