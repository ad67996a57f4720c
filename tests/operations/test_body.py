"""Bodies, laid out for people."""

import pytest

from operations.body import LAID_OUT_BYTES_MAX, SHOWN_CHARS_MAX, lay_out, show_body

XXE = b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>'
LAUGHS = b'<!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "&b;&b;&b;">]><a>&c;</a>'


@pytest.mark.parametrize(
    ("body", "kind", "text"),
    [
        (b'{"a":1.50,"a":[],"b":{},"c":[1e400,"\\u00e9"]}', "JSON",
         '{\n  "a": 1.50,\n  "a": [],\n  "b": {},\n  "c": [\n    1e400,\n    "é"\n  ]\n}'),
        (b"a=1&b=%3Cx%3E+y&c=", "form", "a = 1\nb = <x> y\nc = "),
        (b"<a><b>1</b></a>", "XML", "<a>\n  <b>1</b>\n</a>"),
        (b"PD94bWwgdmVyc2lvbj0iMS4wIj8+PGE+PGIvPjwvYT4=", "XML in Base64", "<a>\n  <b />\n</a>"),
    ],
)  # fmt: skip
def test_a_body_is_laid_out(body: bytes, kind: str, text: str) -> None:
    laid_out = lay_out(body)
    assert laid_out is not None
    assert (laid_out.kind, laid_out.text) == (kind, text)


@pytest.mark.parametrize(
    "body", [b"", b"hello world", b"\xff\x00", XXE, LAUGHS, b"<a", b"PD94b", b"[" * 100_000, b"&".join([b"a=1"] * 1000),
             b"[" + b"1," * LAID_OUT_BYTES_MAX + b"1]"],
)  # fmt: skip
def test_what_is_hostile_or_of_no_kind_is_shown_as_it_came(body: bytes) -> None:
    assert lay_out(body) is None
    shown = show_body(body, is_masked=False)
    assert shown.pretty is None
    assert shown.raw == body.decode(errors="backslashreplace")[:SHOWN_CHARS_MAX]
    assert show_body(body, is_masked=True).raw is None


def test_a_long_body_is_cut_and_says_so() -> None:
    shown = show_body(b'{"a": "' + b"x" * SHOWN_CHARS_MAX + b'"}', is_masked=False)
    assert shown.is_cut
    assert shown.raw is not None
    assert shown.pretty is not None
    assert {len(shown.raw), len(shown.pretty)} == {SHOWN_CHARS_MAX}
    assert not show_body(b"{}", is_masked=False).is_cut
