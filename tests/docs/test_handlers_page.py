"""docs/handlers.md shows the example as it is, and the example's own tests hold."""

import re
import tomllib
from pathlib import Path

import pytest

from credits.test_credits import (  # noqa: F401 - collected here
    test_a_capture_grants_a_credit,
    test_neither_the_order_nor_a_duplicate_changes_a_credit,
)
from providers.testing import recorded

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "handlers.md").read_text()
SHOWN = re.findall(r"\[`[^`]+`\]\((examples/[^)]+)\):?\n\n```\w+\n(.*?)```\n", PAGE, re.DOTALL)
"""Files that stand in the page in full, behind a link to them."""


@pytest.mark.parametrize(("name", "text"), SHOWN, ids=[name for name, _ in SHOWN])
def test_the_page_shows_the_file_that_is_tested(name: str, text: str) -> None:
    assert text == (DOCS / name).read_text()


def test_every_file_that_a_reader_must_write_is_shown() -> None:
    assert {Path(name).name for name, _ in SHOWN} == {"__init__.py", "credits.sql", "test_credits.py"}


def test_the_example_s_events_are_of_the_mode_of_the_source_that_receives_them() -> None:
    mode = tomllib.loads((DOCS.parent / "sources.toml").read_text())["stripe"].get("mode", "live")
    events = [event for file in (DOCS / "examples" / "credits").glob("*.json") for event in recorded("stripe", file)]
    assert {event.mode for event in events} == {mode}


def test_every_link_leads_somewhere() -> None:
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", PAGE) if "://" not in link]
    assert [link for link in links if link and not (DOCS / link).exists()] == []
