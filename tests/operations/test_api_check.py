"""`make check` asks each API once whether it accepts the credentials, shows no secret, and needs no provider."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import ClassVar

import pytest
from aiohttp import web

from operations import api_check
from providers import api_client, apis
from providers.api import Api
from providers.api_access import KeyAccess
from tests.support.stand_ins.stand_in import StandIn, hang_up, status
from tests.support.wait import until

KEY = "shop_hush_1"


class Shop(StandIn):
    """Says whose account a key is."""

    def __init__(self) -> None:
        super().__init__()
        self.app.router.add_get("/account", self._account)

    async def _account(self, _: web.Request) -> web.Response:
        return web.json_response({"id": "acct_1\x1b[31m"})

    def refusal(self, request: web.Request) -> web.Response | None:
        allowed = request.headers.get("Authorization") == f"Bearer {KEY}"
        return None if allowed else web.json_response({"error": KEY}, status=401)


class ShopApi(Api):
    """An API of one question."""

    name = "shop"
    base_urls: ClassVar = dict.fromkeys(("live", "test"), "https://api.shop.invalid")

    async def check(self) -> str:
        assert isinstance(self.access, KeyAccess)
        answer = await self.client.get("/account", Authorization=f"Bearer {self.access.api_key.reveal()}")
        return f"account {answer.body.decode()}"


@pytest.fixture
async def shop(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Shop]:
    monkeypatch.setitem(apis.APIS, "shop", ShopApi)
    monkeypatch.setattr(api_client, "BACKOFF_S", 0.001)
    async with Shop().serving() as server:
        yield server


def read(folder: Path, text: str, **environment: str) -> tuple[dict[str, Api], list[str]]:
    file = folder / "sources.toml"
    file.write_text(text)
    return api_check.read_apis(file, environment)


def source(name: str, url: str, key: str = "${SHOP_KEY}") -> str:
    return f'[{name}]\nprovider = "shop"\nsecrets = ["${{SHOP_WEBHOOK}}"]\napi_key = "{key}"\napi_url = "{url}"\n'


async def test_an_accepted_key_is_one_read_and_names_the_account(shop: Shop, tmp_path: Path) -> None:
    found, problems = read(tmp_path, source("eu", shop.url), SHOP_KEY=KEY)
    checked = await api_check.check_apis(found)
    assert (problems, checked.problems, checked.warnings) == ([], [], [])
    (answer,) = checked.answers
    assert answer.startswith("[eu] The API of shop accepts the credentials: account")
    assert "acct_1" in answer
    assert "\x1b" not in answer
    assert [(seen.method, seen.path) for seen in shop.requests] == [("GET", "/account")]


async def test_a_refused_key_is_a_problem_that_names_source_and_setting(shop: Shop, tmp_path: Path) -> None:
    found, _ = read(tmp_path, source("eu", shop.url), SHOP_KEY="shop_wrong")
    checked = await api_check.check_apis(found)
    (problem,) = checked.problems
    assert problem.startswith("[eu] api_key: GET 127.0.0.1/account answered 401: the credentials are wrong")
    assert (checked.warnings, checked.answers) == ([], [])
    assert "hush" not in problem
    assert "shop_wrong" not in problem


@pytest.mark.parametrize("mishap", [status(503), hang_up, status(400), status(302, Location="http://127.0.0.1:1/")])
async def test_an_api_that_cannot_be_asked_is_a_warning(shop: Shop, tmp_path: Path, mishap: object) -> None:
    shop.mishaps.extend([mishap] * 10)  # type: ignore[list-item]
    found, _ = read(tmp_path, source("eu", shop.url), SHOP_KEY=KEY)
    checked = await api_check.check_apis(found)
    (warning,) = checked.warnings
    assert warning.startswith("[eu] The API of shop could not be asked")
    assert (checked.problems, checked.answers) == ([], [])
    assert KEY not in warning


async def test_apis_are_asked_at_the_same_time(shop: Shop, tmp_path: Path) -> None:
    shop.gate.clear()
    found, _ = read(tmp_path, "".join(source(f"shop{number}", shop.url) for number in range(5)), SHOP_KEY=KEY)
    checking = asyncio.create_task(api_check.check_apis(found))
    await until(lambda: len(shop.requests) == 5, what="all are asked before any answers")
    shop.gate.set()
    assert len((await checking).answers) == 5


async def test_an_api_that_does_not_answer_is_not_waited_for(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_check, "ASKING_TIMEOUT_S", 0.1)
    shop.gate.clear()
    found, _ = read(tmp_path, source("eu", shop.url), SHOP_KEY=KEY)
    (warning,) = (await api_check.check_apis(found)).warnings
    assert "no answer within 0.1 s" in warning
    shop.gate.set()


async def test_sources_without_credentials_are_not_asked_and_a_missing_variable_is_named(
    shop: Shop, tmp_path: Path
) -> None:
    plain = '[plain]\nprovider = "shop"\nsecrets = ["x"]\n'
    assert read(tmp_path, plain) == ({}, [])
    found, problems = read(tmp_path, plain + source("eu", shop.url))
    assert (found, problems) == ({}, ["[eu] api_key: environment variable SHOP_KEY is not set"])
    assert api_check.read_apis(tmp_path / "absent.toml", {}) == ({}, [])
    found, (problem,) = read(tmp_path, source("eu", "https://evil.example"), SHOP_KEY=KEY)
    assert found == {}
    assert problem.startswith("[eu] api_url: not an http address of this machine")
    assert shop.requests == []
