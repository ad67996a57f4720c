"""Reading pages of lists: what names the next page is bounded, and no list is read for ever."""

import pytest

from providers import api_pages
from providers.api import ApiUnexpectedError
from providers.api_pages import CURSOR_CHARS_MAX, Pages, parsed_json, read_address, read_cursor, read_object

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
