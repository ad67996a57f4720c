"""Which characters the texts of an event may have, and how those that cannot be seen are written for people.

Redis stores any bytes and Postgres any Unicode but NUL, so providers may use all of it in their ids: a no-break space,
an emoji joined of several, other spaces, marks that turn the writing direction. Refused are control characters, which
a terminal obeys, and lone surrogates, which are no text. Whatever is shown to people is escaped, so that no id looks
like another one, or turns the line around it.
"""

import re

_REFUSED = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def has_refused_character(text: str) -> bool:
    """Return whether a text has a control character or a lone surrogate."""
    return not text.isprintable() and _REFUSED.search(text) is not None


def escaped(text: str) -> str:
    """Return the text with each character that cannot be seen written as an escape: `\\u00a0`, `\\u202e`.

    Line breaks and tabs, and what colours a terminal, are written by our own programs and stay.
    """
    return text if text.isascii() else text.translate(_ESCAPES)


class _Escapes(dict[int, str]):
    """The escapes of characters that were met, filled as they are."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        is_plain = code < 0x80 or character.isprintable()
        self[code] = character if is_plain else f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
        return self[code]


_ESCAPES = _Escapes()
