"""Numbers and text as a tired person reads them."""

_STEPS = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1000, "s"))
_BYTES = ("B", "KiB", "MiB", "GiB", "TiB")


def duration(ms: float) -> str:
    """The two largest units: `3 d 4 h`, `2 min 5 s`, `4 s`, `250 ms`."""
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
    """`512 B`, `1.3 MiB`."""
    for unit in _BYTES[:-1]:
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} {_BYTES[-1]}"


def printable(text: str) -> str:
    """Text from elsewhere without what a terminal would obey; line breaks stay."""
    return "".join(char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text)
