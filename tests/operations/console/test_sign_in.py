"""Signing in and out, by form and by Basic authentication, and the limit on attempts."""

import asyncio
import base64
import time
from http.cookies import SimpleCookie
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from consumers.settings import Settings
from operations.console import sessions
from operations.console.access import Role, Viewer, find_account, hash_password, read_accounts
from operations.console.sessions import ADDRESSES_MAX, ATTEMPTS_MAX, SESSIONS_MAX, Attempts, Sessions
from operations.console.site import cookie_name
from tests.support.console import PASSWORDS, Client, Page, RunningConsole, running_console

VIEWER = Viewer("vera", frozenset({Role.VIEWER}))


async def sign_in(console: RunningConsole, name: str, password: str, asked: str = "", **headers: str) -> Page:
    form = {"name": name, "password": password, "next": asked}
    return await console.stranger.post("/sign-in", form, **headers)


def cookie_of(page: Page) -> str:
    (morsel,) = SimpleCookie(page.headers["Set-Cookie"]).values()
    return f"{morsel.key}={morsel.value}"


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


async def test_a_viewer_sees_the_overview(console: RunningConsole) -> None:
    page = await console.viewer.get("/")
    assert page.status == 200
    assert "<h1>Overview</h1>" in page.text
    assert "vera" in page.text


async def test_a_stranger_is_led_to_the_sign_in(console: RunningConsole) -> None:
    page = await console.stranger.get("/dead?after=3")
    assert (page.status, page.location) == (303, "/sign-in?next=/dead?after%3D3")
    form = await console.stranger.get(page.location)
    assert 'name="next" value="/dead?after=3"' in form.text


async def test_a_password_opens_the_page_that_was_asked_for(console: RunningConsole) -> None:
    page = await sign_in(console, "olga", PASSWORDS["olga"], "/?a=1&b=2")
    assert (page.status, page.location) == (303, "/?a=1&b=2")
    assert "HttpOnly" in page.headers["Set-Cookie"]
    assert "SameSite=Strict" in page.headers["Set-Cookie"]
    opened = await Client(console.url, cookie_of(page)).get("/")
    assert "olga" in opened.text
    assert "operator" in opened.text


@pytest.mark.parametrize(
    ("name", "password"),
    [("vera", "wrong"), ("vera", ""), ("nobody", PASSWORDS["vera"]), ("", PASSWORDS["vera"]), ("v\x1bera", "x"),
     ("vera", "x" * 201), ("v" * 201, "x"), ("vera", PASSWORDS["mona"])],
)  # fmt: skip
async def test_a_wrong_name_or_password_opens_nothing(console: RunningConsole, name: str, password: str) -> None:
    page = await sign_in(console, name, password)
    assert page.status == 401
    assert "The name or the password is wrong." in page.text
    assert f'value="{name}"' in page.text, "the name stays in its field"
    assert "Set-Cookie" not in page.headers
    assert len(password) < 8 or password not in page.text


@pytest.mark.parametrize(
    "asked",
    ["//evil.example", "/\\evil.example", "https://evil.example", "/\t/evil.example", "javascript:alert(1)",
     "\\\\evil.example", "", "evil.example", "/\N{RIGHT-TO-LEFT OVERRIDE}", " //evil.example", "/\r\nSet-Cookie: a=b"],
)  # fmt: skip
async def test_a_sign_in_leads_to_no_other_site(console: RunningConsole, asked: str) -> None:
    assert (await sign_in(console, "vera", PASSWORDS["vera"], asked)).location == "/"
    assert 'name="next" value="/"' in (await console.stranger.get("/sign-in", {"next": asked})).text


@pytest.mark.parametrize("asked", ["/.//evil.example", "/%2f/evil.example", "/[", "/%", "/a?next=//b", "/:80/"])
async def test_an_odd_address_of_ours_stays_ours(console: RunningConsole, asked: str) -> None:
    page = await sign_in(console, "vera", PASSWORDS["vera"], asked)
    assert page.status == 303
    assert page.location.startswith("/")
    assert not page.location.startswith(("//", "/\\"))


async def test_a_sign_in_gets_a_new_token_and_ends_the_one_before(console: RunningConsole) -> None:
    first = cookie_of(await sign_in(console, "vera", PASSWORDS["vera"]))
    page = await sign_in(console, "vera", PASSWORDS["vera"], Cookie=first)
    assert cookie_of(page) != first
    assert (await Client(console.url, first).get("/")).status == 303
    planted = await sign_in(
        console, "vera", PASSWORDS["vera"], Cookie=f"{cookie_name(urlsplit(console.url).netloc)}=planted"
    )
    assert "planted" not in cookie_of(planted)


async def test_who_signs_out_is_out(console: RunningConsole) -> None:
    client = console.sign_in("ada", Role.OPERATOR)
    page = await client.post("/sign-out")
    assert (page.status, page.location) == (303, "/sign-in")
    assert "Max-Age=0" in page.headers["Set-Cookie"]
    assert (await client.get("/")).status == 303


async def test_a_script_signs_in_with_each_request_and_is_checked_once(console: RunningConsole) -> None:
    script = {"Accept": "*/*", "Sec-Fetch-Site": ""}
    refused = await console.stranger.get("/", **script)
    assert refused.status == 401
    assert refused.headers["WWW-Authenticate"].startswith("Basic ")
    for _ in range(ATTEMPTS_MAX + 2):
        page = await console.stranger.get("/", Authorization=basic("olga", PASSWORDS["olga"]), **script)
        assert page.status == 200
    assert (await console.stranger.get("/", Authorization=basic("olga", "wrong"), **script)).status == 401
    for odd in ("Basic", "Basic !", "Basic /w==", "Basic w6k", "Bearer x", "basic \xff"):
        assert (await console.stranger.get("/", Authorization=odd, **script)).status == 401


async def test_the_eleventh_attempt_has_to_wait_also_with_the_right_password(console: RunningConsole) -> None:
    pages = await asyncio.gather(*(sign_in(console, "vera", "wrong") for _ in range(ATTEMPTS_MAX + 2)))
    assert sorted(page.status for page in pages) == [401] * ATTEMPTS_MAX + [429] * 2
    page = await sign_in(console, "vera", PASSWORDS["vera"])
    assert page.status == 429
    assert 0 < int(page.headers["Retry-After"]) <= 301
    assert (await console.viewer.get("/")).status == 200


async def test_who_has_a_password_cannot_guess_others_for_ever(console: RunningConsole) -> None:
    for _ in range(ATTEMPTS_MAX - 1):
        await sign_in(console, "mona", "wrong")
    assert (await sign_in(console, "vera", PASSWORDS["vera"])).status == 303
    assert (await sign_in(console, "mona", "wrong")).status == 401
    assert (await sign_in(console, "mona", PASSWORDS["mona"])).status == 429


async def test_a_sign_in_ends_without_requests_and_at_last_also_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now_s)
    kept = Sessions(lifetime_s=60)
    token = kept.begin(VIEWER)
    now_s += 59
    assert kept.find(token) == VIEWER
    now_s += 59
    assert kept.find(token) == VIEWER
    now_s += 61
    assert kept.find(token) is None
    token = kept.begin(VIEWER)
    ends_at_s = now_s + sessions.SESSION_S_MAX
    while now_s <= ends_at_s - 50:
        now_s += 50
        assert kept.find(token) == VIEWER
    now_s += 50
    assert kept.find(token) is None


def test_the_sign_in_that_was_used_least_recently_gives_way() -> None:
    kept = Sessions(lifetime_s=60)
    first, second = kept.begin(VIEWER), kept.begin(VIEWER)
    kept.find(first)
    for _ in range(SESSIONS_MAX - 1):
        kept.begin(VIEWER)
    assert kept.find(first) == VIEWER
    assert kept.find(second) is None


def test_addresses_that_fail_are_remembered_up_to_a_limit() -> None:
    attempts = Attempts()
    for number in range(ADDRESSES_MAX + 10):
        attempts.failed(f"{number}")
    assert len(attempts) == ADDRESSES_MAX


def test_nobody_signs_in_under_the_name_of_another_persons_account() -> None:
    accounts = read_accounts(f"{hash_password('shared password')} mona:money:{hash_password('her own password')}")
    shared = find_account(accounts, "ada", "shared password")
    assert shared is not None
    assert shared.roles == frozenset(Role)
    assert find_account(accounts, "mona", "shared password") is None
    mona = find_account(accounts, "mona", "her own password")
    assert mona is not None
    assert mona.roles == {Role.MONEY}
    assert find_account(accounts, "ada", "her own password") is None
    assert find_account([], "ada", "") is None
    assert "scrypt" not in repr(accounts)


@pytest.mark.parametrize(
    "text",
    ["plain", "scrypt:1:8:1:AA:AA", "ada:king:scrypt:16384:8:1:AA:AA", "scrypt:16384:8:1:AA:AA",
     ":viewer:scrypt:16384:8:1:AA:" + "A" * 43, "scrypt:1048576:8:1:AA:" + "A" * 43, "scrypt:x:8:1:AA:" + "A" * 43],
)  # fmt: skip
def test_what_is_no_account_stops_the_start_without_being_shown(text: str) -> None:
    with pytest.raises(ValueError, match="its part 1 is neither a hash") as raised:
        read_accounts(text)
    assert text not in str(raised.value)


async def test_a_console_without_a_password_lets_nobody_in(settings: Settings) -> None:
    async with running_console(settings, console_password_hash=SecretStr("")) as console:
        for name in ("", "admin", "vera"):
            assert (await sign_in(console, name, "")).status == 401


def test_two_consoles_of_a_host_have_cookies_of_their_own() -> None:
    hosts = ["127.0.0.1:9180", "127.0.0.1:9181", "[::1]:9180", "[::1]", "console.example.com", "a:9180; b=1"]
    names = [cookie_name(host) for host in hosts]
    assert names[:2] == ["payments_console_9180", "payments_console_9181"]
    assert names[2:] == ["payments_console_9180", *["payments_console"] * 3]
