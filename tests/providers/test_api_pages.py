"""Reading pages of lists: what names the next page is bounded, and no list is read for ever."""

import json

import pytest

from providers import api_pages
from providers.api import ApiUnexpectedError, Listed
from providers.api_pages import (
    CURSOR_CHARS_MAX,
    Pages,
    listed,
    listed_events,
    parsed_json,
    read_address,
    read_cursor,
    read_object,
)
from providers.base import PayloadError
from providers.stripe.identity import parse_event

DEEP = b"[" * 100_000


def test_a_list_that_leads_back_to_any_page_or_never_ends_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = Pages("the list")
    assert [pages.next(cursor) for cursor in ("a", "b", "c")] == ["a", "b", "c"]
    with pytest.raises(ApiUnexpectedError, match="the list leads back to a page"):
        pages.next("a")
    monkeypatch.setattr(api_pages, "PAGES_MAX", 4)
    pages.next("d")
    with pytest.raises(ApiUnexpectedError, match="the list has more than 4 pages"):
        pages.next("e")


@pytest.mark.parametrize("cursor", [7, 1.5, True, [], {}, "x" * (CURSOR_CHARS_MAX + 1), "a\0", "a\r\nb", "\ud800"])
def test_what_is_no_cursor_is_not_sent_back(cursor: object) -> None:
    with pytest.raises(ApiUnexpectedError, match="cursor of the next page"):
        read_cursor({"meta": {"after": cursor}}, "meta", "after", about="a list")


@pytest.mark.parametrize("address", [None, 7, {}, "http://[", "http://a:b/", "x" * (CURSOR_CHARS_MAX + 1)])
def test_what_is_no_address_is_not_read(address: object) -> None:
    with pytest.raises(ApiUnexpectedError, match="address of the next page"):
        read_address(address, "a list")


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", DEEP, b"[" + b"9" * 5000 + b"]"])
def test_what_is_no_json_is_nothing(body: bytes) -> None:
    assert parsed_json(body) is None
    with pytest.raises(ApiUnexpectedError, match="no JSON object"):
        read_object(body, "an answer")


DIGEST = "unreadable:"


@pytest.mark.parametrize(
    ("item", "event_id", "type_"),
    [
        (b'{"id": "evt_1", "type": "charge.failed"}', "evt_1", "charge.failed"),
        (b'{"event_id": 7, "event_type": "a.b"}', "7", "a.b"),
        (b'{"id": "a\\nb", "type": "a\\nb"}', DIGEST, ""),
        (b'{"id": "' + b"x" * 9999 + b'", "type": 5}', DIGEST, ""),
        (b"[7]", DIGEST, ""),
        (b"\xff{", DIGEST, ""),
        (b"[" * 100_000, DIGEST, ""),
    ],
)
@pytest.mark.parametrize("error", [PayloadError("type: not a text"), ApiUnexpectedError("type: not a text")])
def test_an_item_that_cannot_be_read_is_named(item: bytes, event_id: str, type_: str, error: Exception) -> None:
    def refuse(_: bytes) -> Listed:
        raise error

    found = listed(item, refuse)
    assert found.parsed.event_id.startswith(event_id)
    assert (found.parsed.type, found.unreadable, found.body) == (type_, "type: not a text", item)
    assert found.parsed.event_id == listed(item, refuse).parsed.event_id


@pytest.mark.parametrize("changed", [{"id": "evt_\0"}, {"id": "e" * 256}, {"id": ""}, {"type": "a\nb"}, {"type": ""}])
def test_an_event_that_no_envelope_can_carry_is_named_by_what_can_be_stored(changed: dict[str, str]) -> None:
    item = json.dumps({"id": "evt_1", "type": "charge.failed", "created": 1, **changed}).encode()
    (found,) = listed_events([item], parse_event)
    assert found.unreadable
    assert found.parsed.event_id.startswith("evt_1" if "type" in changed else DIGEST)
    assert found.parsed.type == ("" if "type" in changed else "charge.failed")
