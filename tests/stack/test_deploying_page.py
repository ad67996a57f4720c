"""docs/deploying.md shows files as they are, and names settings and files that exist."""

import re
from pathlib import Path

from runtime.version import version

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGE = (DOCS / "deploying.md").read_text()


def test_the_page_shows_the_files_as_they_are() -> None:
    shown = re.findall(r"\[`[^`]+`\]\((examples/[^)]+)\):?\n\n```\w+\n(.*?)```\n", PAGE, re.DOTALL)
    assert [name for name, _ in shown] == ["examples/shop/Dockerfile"]
    for name, text in shown:
        assert text == (DOCS / name).read_text()


def test_every_link_leads_to_a_file() -> None:
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", PAGE) if "://" not in link]
    assert [link for link in links if link and not (DOCS / link).exists()] == []


def test_every_setting_that_the_page_and_the_examples_name_exists() -> None:
    texts = [
        PAGE,
        *(path.read_text() for path in (DOCS / "examples").rglob("*") if path.suffix in {".conf", ".service"}),
    ]
    named = {name for text in texts for name in re.findall(r"\b[A-Z]{2,}(?:_[A-Z]+)+\b", text)}
    known = set(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    elsewhere = {"TEST_DATABASE_URL", "PROMETHEUS_MULTIPROC_DIR"}
    assert named - known - elsewhere == set()


def test_the_repository_that_the_page_describes_has_these_files() -> None:
    tree = PAGE.partition("```\n")[2].partition("```")[0]
    named = set(re.findall(r"[a-z_]+\.(?:py|ini|sql|toml)|Dockerfile", tree)) - {"docs", "handlers.md"}
    assert named == {path.name for path in (DOCS / "examples" / "shop").iterdir() if path.is_file()}


def test_the_version_of_the_wheel_and_the_image_is_the_present_one() -> None:
    assert f"payment_webhooks-{version()}-py3-none-any.whl" in PAGE
    assert f"`payment-webhooks:{version()}`" in PAGE
