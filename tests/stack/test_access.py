"""Each program gets the access to the APIs that it asks, and the reconciler runs only where a source wants it."""

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import SecretStr

from providers import apis
from providers.api import Api
from stack.access import access_values, read_access
from stack.compose_secrets import PASSWORDS, secrets_of
from stack.digests import all_digests
from stack.programs import Name, plan
from stack.settings import Settings
from tests.stack.test_programs import PORTS

SOURCES = """
[eu]
provider = "shop"
secrets = ["${EU_WEBHOOK}", "${SHARED}"]
api_key = "${EU_KEY}"
reconcile_every = "1h"

[us]
provider = "shop"
secrets = ["${US_WEBHOOK}"]
api_key = "${US_KEY}"
confirm = "api"

[old]
provider = "shop"
secrets = ["${OLD_WEBHOOK}"]
api_key = "${SHARED}"

[plain]
provider = "hmac"
secrets = ["${PLAIN_WEBHOOK}"]
"""

WEBHOOKS = {"EU_WEBHOOK", "US_WEBHOOK", "OLD_WEBHOOK", "PLAIN_WEBHOOK", "SHARED"}
KEYS = {"EU_KEY", "US_KEY", "SHARED"}
ENVIRON = {name: f"value of {name}" for name in WEBHOOKS | KEYS}


class ShopApi(Api):
    name = "shop"
    base_urls: ClassVar = {"live": "https://api.shop.invalid"}

    async def check(self) -> str:
        return "an account"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(apis.APIS, "shop", ShopApi)
    Path("sources.toml").write_text(SOURCES)
    passwords = {name.lower(): SecretStr("p") for name in PASSWORDS}
    (tmp_path / "data" / "valkey").mkdir(parents=True)
    (tmp_path / "data" / "valkey" / "valkey.conf").write_text("")
    return Settings(data_dir=tmp_path / "data", sources_file=tmp_path / "sources.toml").model_copy(update=passwords)


def test_each_name_is_for_the_programs_that_need_it(settings: Settings) -> None:
    access = read_access(settings.sources_file)
    assert access.gateway == WEBHOOKS
    assert access.workers == {"US_KEY"}
    assert access.reconciler == KEYS
    assert access.reconciles
    assert access.not_for_gateway == {"EU_KEY", "US_KEY"}


def test_programs_find_no_other_name_in_their_environment(settings: Settings) -> None:
    given = {each.name: set(each.environment) & ENVIRON.keys() for each in plan(settings, PORTS, ENVIRON).programs()}
    assert given == {
        "valkey": set(), "postgres": set(), "gateway": WEBHOOKS, "consumers": WEBHOOKS | {"US_KEY"}, "console": set(),
        "reconciler": KEYS,
    }  # fmt: skip


def test_containers_get_no_other_name_as_a_file(settings: Settings) -> None:
    given = {service: set(files) & ENVIRON.keys() for service, files in secrets_of(settings, ENVIRON).items()}
    assert given == {
        "valkey": set(), "postgres": set(), "migrate": set(), "gateway": WEBHOOKS, "consumers": {"US_KEY"},
        "console": set(), "reconciler": KEYS,
    }  # fmt: skip


def test_the_reconciler_runs_where_a_source_is_compared_on_a_schedule(settings: Settings) -> None:
    programs = {each.name: each for each in plan(settings, PORTS, ENVIRON).programs()}
    assert programs["reconciler"].processes == 1
    settings.sources_file.write_text(SOURCES.replace("reconcile_every", "#"))
    programs = {each.name: each for each in plan(settings, PORTS, ENVIRON).programs()}
    assert programs["reconciler"].processes == 0


@pytest.mark.parametrize("text", ["[", "\xff", "eu = 1", "[eu]\nprovider = 1\nreconcile_every = 5\n"])
def test_a_file_with_mistakes_is_the_gateways_to_report(settings: Settings, text: str) -> None:
    settings.sources_file.write_bytes(text.encode("latin-1"))
    assert read_access(settings.sources_file).reconciler == frozenset()
    assert isinstance(access_values(settings.sources_file, {}), str)
    settings.sources_file.unlink()
    assert read_access(settings.sources_file).gateway == frozenset()


def test_a_changed_credential_or_schedule_replaces_the_reconciler_and_nothing_else(settings: Settings) -> None:
    checked: dict[Name, str] = {"gateway": "g", "consumers": "c"}

    def changed(environ: dict[str, str]) -> set[str]:
        after = all_digests(replace(before, environ=environ), checked)
        return {name for name, digest in digests.items() if after[name] != digest}

    before = plan(settings, PORTS, ENVIRON)
    digests = all_digests(before, checked)
    assert changed(ENVIRON) == set()
    assert changed(ENVIRON | {"EU_KEY": "another"}) == {"reconciler"}
    settings.sources_file.write_text(SOURCES.replace("1h", "2h"))
    assert changed(ENVIRON) == {"reconciler"}
