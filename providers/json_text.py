"""JSON texts that are odd, and genuine: how every reader of bodies treats what their libraries disagree on.

* A lone surrogate (half of an emoji, cut by the sender) may stand in a field that nobody reads. pydantic's reader and
  msgspec refuse the whole text; the standard library keeps it. Here it is read as NUL, which no id and no type may
  have: so a text is refused only for one in a field that is read.
* NaN and Infinity are no JSON, but pydantic's reader and the standard library's take them. Here they are refused, in
  any field: a reader of exact amounts cannot read them, and what is accepted must not become a dead letter.

Every body passes here. So one byte is sought first, as a number, and several with `find`: for several, `in` raises and
drops a TypeError before it looks.
"""

import json
import re
from typing import NoReturn

_SURROGATE = re.compile(rb"\\u[dD](?:[89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|([89a-fA-F][0-9a-fA-F]{2}))")
"""The escapes of a pair of surrogates, or that of a lone one (group 1)."""

_ESCAPED_BACKSLASH, _NO_UTF8 = rb"\\", b"\xff\xff"
"""An escaped backslash begins no escape. It is hidden while surrogates are sought: what stands for it is in no text."""

_BACKSLASH, _N, _I, _FF = b"\\NI\xff"

NUL = rb"\u0000"
"""As long as what it replaces, so that all borders stay where they are."""


class ConstantError(ValueError):
    """A text has NaN or Infinity. It is not JSON."""


def may_have_lone_surrogate(text: bytes) -> bool:
    """Return whether a text may hold one. So may one that writes an emoji as a pair of escapes."""
    return _BACKSLASH in text and (text.find(b"\\ud") >= 0 or text.find(b"\\uD") >= 0)


def without_lone_surrogates(text: bytes) -> bytes:
    """Return the text with each escape of a lone surrogate written as NUL; its length is the same.

    A text that is not UTF-8 is returned as it is. Only escapes of surrogates cost a call.
    """
    if not may_have_lone_surrogate(text) or _FF in text:
        return text
    hidden = text.replace(_ESCAPED_BACKSLASH, _NO_UTF8)
    without = _SURROGATE.sub(lambda match: match[0] if match[1] is None else NUL, hidden)
    return without.replace(_NO_UTF8, _ESCAPED_BACKSLASH)


def refuse_constants(text: bytes) -> None:
    """Raise ConstantError where NaN or Infinity is a value in the text, rather than a part of a string."""
    if (_N in text and text.find(b"NaN") >= 0) or (_I in text and text.find(b"Infinity") >= 0):
        try:
            json.loads(text, parse_constant=refuse_constant)
        except ConstantError:
            raise
        except (ValueError, RecursionError):
            return  # no JSON at all: its reader says what is wrong


def refuse_constant(constant: str) -> NoReturn:
    """Refuse what `json.loads` calls a constant. Raise ConstantError."""
    raise ConstantError(f"{constant} is not JSON")
