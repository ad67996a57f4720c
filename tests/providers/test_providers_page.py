"""docs/providers.md: every provider, with every setting of its own, and settings that are true."""

import re
import tomllib
from pathlib import Path

import pytest

from providers import PROVIDERS
from providers.api import Confirmation, EventList, PaymentList
from providers.apis import APIS, credentials_of
from providers.base import SourceSettings
from tests.support.provider_cases import CASES

PAGE = (Path(__file__).parents[2] / "docs" / "providers.md").read_text()
SECTIONS = dict(re.findall(r"^## ([^\n]*)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
COMMON = set(SourceSettings.model_fields)

every_provider = pytest.mark.parametrize("name", PROVIDERS)


def tables(name: str) -> dict[str, dict[str, object]]:
    """Return the example of a provider's section, with its optional settings, which are in comments."""
    code = "\n".join(re.findall(r"^```toml\n(.*?)^```", SECTIONS[name], re.MULTILINE | re.DOTALL))
    return tomllib.loads(re.sub(r"^# ", "", code, flags=re.MULTILINE))


def test_every_provider_has_a_section_and_a_row() -> None:
    assert set(SECTIONS) - {"The same for all"} == set(PROVIDERS)
    assert sorted(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)) == sorted(PROVIDERS)


@every_provider
def test_every_setting_of_a_provider_is_documented(name: str) -> None:
    own = set(PROVIDERS[name].Source.model_fields) - COMMON
    own |= set(credentials_of(name))
    assert {setting for setting in own if not re.search(rf"\b{setting}\b", SECTIONS[name])} == set()


@every_provider
def test_examples_use_existing_settings_only(name: str) -> None:
    for table in tables(name).values():
        assert table["provider"] == name
        assert set(table) <= {*PROVIDERS[name].Source.model_fields, *credentials_of(name)}


@every_provider
def test_the_page_says_what_the_signature_covers(name: str) -> None:
    (row,) = re.findall(rf"^\| `{name}` \|.*$", PAGE, re.MULTILINE)
    assert row.split("|")[3].strip(" *") == CASES[name].covers


ASKED = {
    row["provider"]: (row["reconcile"], row["confirm"])
    for row in re.finditer(
        r"^\| (?P<provider>\w+) \| (?P<reconcile>events|payments|no) \| (?P<confirm>yes|no) \| .+ \|$",
        PAGE,
        re.MULTILINE,
    )
}


def test_the_page_says_of_every_provider_what_its_api_can_be_asked() -> None:
    lists = {True: "events", False: "payments"}
    expected = {
        name: (
            lists[issubclass(api, EventList)] if issubclass(api, EventList | PaymentList) else "no",
            "yes" if issubclass(api, Confirmation) else "no",
        )
        for name, api in APIS.items()
    }
    assert {name: expected.get(name, ("no", "no")) for name in PROVIDERS} == ASKED


@every_provider
def test_every_credential_is_documented(name: str) -> None:
    assert {setting for setting in credentials_of(name) if not re.search(rf"\b{setting}\b", SECTIONS[name])} == set()
