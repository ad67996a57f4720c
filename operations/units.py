"""Durations, sizes and text for a terminal.

Written here because `humanize` gives other texts: it rounds durations to one unit ("3 days") or spells them out
("3 days and 4 hours"), where a table cell needs `3 d 4 h`.
"""

from contract.text import escaped, has_refused_character

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_STEPS = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1000, "s"))
_BYTES = ("B", "KiB", "MiB", "GiB", "TiB")


def duration(ms: float) -> str:
    """Return the two largest units: `3 d 4 h`, `2 min 5 s`, `4 s`, `250 ms`."""
    if ms < 1000:
        return f"{max(0, int(ms))} ms"
    parts = []
    for size_ms, unit in _STEPS:
        count, ms = divmod(ms, size_ms)
        if count:
            parts.append(f"{int(count)} {unit}")
        elif parts:
            break
    return " ".join(parts[:2])


def size(count: float) -> str:
    """Return a number of bytes as `512 B` or `1.3 MiB`."""
    for unit in _BYTES[:-1]:
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} {_BYTES[-1]}"


def printable(text: str) -> str:
    """Return text from outside with nothing in it that a terminal would obey. Line breaks stay.

    Control characters are replaced; other characters that cannot be seen are written as escapes.
    """
    return escaped("".join(char if char == "\n" or not _is_control(char) else _REPLACEMENT for char in text))


def _is_control(char: str) -> bool:
    return not char.isprintable() and has_refused_character(char)


def count(number: int, one: str, several: str = "") -> str:
    """Return a number with its noun: `1 entry`, `2 entries`. The plural ends in s if it is left out."""
    return f"{number} {one}" if number == 1 else f"{number:,} {several or one + 's'}"
