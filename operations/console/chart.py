"""Pictures of the last hour as SVG, which need no JavaScript, and as the text that says the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from operations.overview import Rates, largest

WIDTH, HEIGHT = 600, 120
"""The units of the picture; the browser scales it."""

HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Line:
    """One line: its name, how it is drawn, its values, and its parts as points. Where a value is not known is a gap."""

    name: str
    dashes: str
    values: list[float | None]
    parts: list[str]


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture. `text` says what it shows."""

    id: str
    title: str
    top: float
    lines: list[Line]
    text: str


def charts(rates: Sequence[Rates], now: datetime) -> list[Chart]:
    """Return the pictures of the last hour."""
    return [
        _chart("rates", "Events a second", rates, now,
               {"in": [each.entered for each in rates], "out": [each.left for each in rates]}),
        _chart("backlog", "Backlog", rates, now, {"in the stream": [each.backlog for each in rates]}),
        _chart("dead", "Open dead letters", rates, now, {"open": [each.dead_letters for each in rates]}),
    ]  # fmt: skip


def number(value: float | None) -> str:
    """Return a value as people read it: `0.07`, `3.2`, `1250`; a dash if it is not known."""
    if value is None:
        return "\N{EN DASH}"
    return f"{value:.0f}" if value >= 10 or value == int(value) else f"{value:.2g}"


def _chart(
    id_: str, title: str, rates: Sequence[Rates], now: datetime, series: dict[str, Sequence[float | None]]
) -> Chart:
    top = max(largest(values) for values in series.values())
    lines = [
        Line(name, "6 4" if order else "", list(values), _parts(rates, values, now, top or 1.0))
        for order, (name, values) in enumerate(series.items())
    ]
    return Chart(id_, title, top, lines, "; ".join(_sentence(line) for line in lines) + ".")


def _parts(rates: Sequence[Rates], values: Sequence[float | None], now: datetime, top: float) -> list[str]:
    parts: list[list[str]] = [[]]
    for each, value in zip(rates, values, strict=True):
        if value is None:
            parts.append([])
        else:
            x = WIDTH * (1 - (now - each.at) / HOUR)
            parts[-1].append(f"{max(0.0, min(x, WIDTH)):.1f},{HEIGHT - (HEIGHT - 4) * value / top - 2:.1f}")
    # A lone point is drawn as a dot: a line of no length with round ends.
    return [" ".join(part if len(part) > 1 else part * 2) for part in parts if part]


def _sentence(line: Line) -> str:
    known = [value for value in line.values if value is not None]
    if not known:
        return f"{line.name}: not known"
    return f"{line.name}: {number(known[-1])} now, between {number(min(known))} and {number(max(known))}"
