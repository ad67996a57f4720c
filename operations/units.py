"""Durations, sizes and text for a terminal.

Written here because `humanize` gives other texts: it rounds durations to one unit ("3 days") or spells them out
("3 days and 4 hours"), where a table cell needs `3 d 4 h`.
"""

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
    """Replace control characters, which a terminal would obey, in text from outside. Line breaks stay."""
    return "".join(char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text)
