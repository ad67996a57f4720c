"""The body of an event for people: as it came, and laid out; masked for those who may not see personal data."""

import binascii
import re
from base64 import b64decode
from dataclasses import dataclass
from urllib.parse import parse_qsl
from xml.etree.ElementTree import ParseError, indent, tostring

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from operations.json_tree import parse, write
from operations.masking import mask_json

LAID_OUT_BYTES_MAX = 128 * 1024
"""A larger body is shown as it came only, and not at all to people who see a mask."""

SHOWN_CHARS_MAX = 16 * 1024
"""The characters of a page that a body may take."""

FORM_FIELDS_MAX = 500

XML_IN_BASE64 = b"PD94"
"""`<?x`: Braintree sends its XML so."""

_FORM = re.compile(r"[\w.%+\[\]-]+=[^\s<>{}]*")


@dataclass(frozen=True, slots=True)
class LaidOut:
    """A body, laid out. `kind` is a noun for people."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class ShownBody:
    """The two views of a body. A view that is None cannot be shown; `why` is the reason."""

    size_bytes: int
    kind: str
    raw: str | None
    pretty: str | None
    why: str = ""
    is_masked: bool = False
    is_cut: bool = False
    """Only the beginning is shown; the rest can be downloaded."""


def show_body(body: bytes, *, is_masked: bool) -> ShownBody:
    """Return both views of a body, cut to SHOWN_CHARS_MAX. A mask needs JSON; else nothing is shown."""
    if is_masked:
        text = masked_body(body)
        if text is None:
            why = "Its personal data cannot be masked, because it is not JSON or too large: it is for operators only."
            return ShownBody(len(body), "not shown", None, None, why, is_masked=True)
        return ShownBody(len(body), "JSON", None, text[:SHOWN_CHARS_MAX], is_masked=True, is_cut=_is_long(text))
    raw, laid_out = body[: 4 * SHOWN_CHARS_MAX].decode(errors="backslashreplace"), lay_out(body)
    is_cut = _is_long(raw) or len(body) > 4 * SHOWN_CHARS_MAX or _is_long(laid_out.text if laid_out else "")
    kind, pretty = (laid_out.kind, laid_out.text[:SHOWN_CHARS_MAX]) if laid_out else ("text", None)
    return ShownBody(len(body), kind, raw[:SHOWN_CHARS_MAX], pretty, is_cut=is_cut)


def masked_body(body: bytes, *, pretty: bool = True) -> str | None:
    """Return a JSON body with its personal data masked; None if it cannot be."""
    if len(body) > LAID_OUT_BYTES_MAX:
        return None
    try:
        return write(mask_json(parse(body)), pretty=pretty)
    except (ValueError, RecursionError):
        return None


def lay_out(body: bytes) -> LaidOut | None:
    """Return JSON, XML or a form, one thing a line; None if it is something else or too large. Nothing is executed."""
    if len(body) > LAID_OUT_BYTES_MAX:
        return None
    try:
        return LaidOut("JSON", write(parse(body), pretty=True))
    except ValueError:
        pass
    if body.lstrip()[:1] == b"<":
        return _lay_out_xml(body, "XML")
    if body.startswith(XML_IN_BASE64):
        try:
            return _lay_out_xml(b64decode(body), "XML in Base64")
        except binascii.Error:
            return None
    text = body.decode(errors="backslashreplace")
    return _lay_out_form(text) if _FORM.fullmatch(text) else None


def _lay_out_xml(text: bytes, kind: str) -> LaidOut | None:
    try:
        root = fromstring(text)
        indent(root)
        return LaidOut(kind, tostring(root, encoding="unicode"))
    except (ParseError, DefusedXmlException, ValueError, LookupError, RecursionError):
        return None


def _lay_out_form(text: str) -> LaidOut | None:
    try:
        fields = parse_qsl(text, keep_blank_values=True, max_num_fields=FORM_FIELDS_MAX, errors="backslashreplace")
    except ValueError:
        return None
    return LaidOut("form", "\n".join(f"{name} = {value}" for name, value in fields))


def _is_long(text: str) -> bool:
    return len(text) > SHOWN_CHARS_MAX
