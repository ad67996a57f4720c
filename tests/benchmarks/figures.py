"""What a benchmark found: both sides of a comparison, the ratio, the target, and whether it was reached."""

from dataclasses import asdict, dataclass
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure. Where there is another side (`against`), the ratio is what counts, else the figure itself.

    `target` is the least it should be, or the most where `at_most`; None for what is shown only to be seen.
    """

    group: str
    what: str
    ours: float
    unit: str
    against: float | None = None
    against_what: str = ""
    target: float | None = None
    at_most: bool = False

    @property
    def ratio(self) -> float | None:
        """Ours, as a multiple of the other side."""
        return self.ours / self.against if self.against else None

    @property
    def reached(self) -> bool | None:
        """Whether the target was reached; None without a target."""
        if self.target is None:
            return None
        counts = self.ours if self.ratio is None else self.ratio
        return counts <= self.target if self.at_most else counts >= self.target

    def as_json(self) -> dict[str, Any]:
        """All of it, for scripts."""
        return asdict(self) | {"ratio": self.ratio, "reached": self.reached}


def table(figures: list[Figure], caption: str) -> Table:
    """Print the figures as a table."""
    made = Table(
        box=box.SIMPLE, title="both sides of each comparison, from one run", title_justify="left", caption=caption
    )
    for name, justify in (("", "left"), ("what", "left"), ("ours", "right"), ("the other side", "right"),
                          ("ratio", "right"), ("target", "right"), ("", "left")):  # fmt: skip
        made.add_column(name, justify=justify)  # type: ignore[arg-type] # one of rich's words
    group = ""
    for figure in figures:
        if group and figure.group != group:
            made.add_section()
        made.add_row(*_cells(figure, names_group=figure.group != group))
        group = figure.group
    return made


def _cells(figure: Figure, *, names_group: bool) -> tuple[str | Text, ...]:
    against = ""
    if figure.against is not None:
        against = f"{figure.against_what}: {_number(figure.against)} {figure.unit}"
    target = ""
    if figure.target is not None:
        unit = " x" if figure.ratio is not None else f" {figure.unit}"
        target = f"{'≤' if figure.at_most else '≥'} {_number(figure.target)}{unit}"
    return (
        figure.group if names_group else "",
        figure.what,
        f"{_number(figure.ours)} {figure.unit}",
        against,
        f"{_number(figure.ratio)} x" if figure.ratio is not None else "",
        target,
        _verdict(figure.reached),
    )


def _verdict(reached: bool | None) -> Text:
    if reached is None:
        return Text("")
    return Text("reached", "green") if reached else Text("MISSED", "red")


def _number(value: float) -> str:
    """Three digits that matter."""
    size = abs(value)
    return f"{value:,.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.2f}"
