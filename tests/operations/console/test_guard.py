"""Who may do what, what other sites and strangers cannot do, and the headers of every answer."""

from base64 import b64encode
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from aiohttp import web

from consumers.settings import Settings
from operations.console.access import Role
from operations.console.guard import requires
from operations.console.site import VIEWER, cookie_name
from tests.support.console import Client, RunningConsole, running_console, sent_raw

PROXY = {"X-Forwarded-User": "ada", "X-Forwarded-Groups": "staff, payments-money"}

routes = web.RouteTableDef()


@routes.post("/try/look")
@requires(Role.VIEWER)
async def look(request: web.Request) -> web.Response:
    return web.Response(text=f"done by {request[VIEWER].name}")


@routes.post("/try/replay")
@requires(Role.OPERATOR)
async def replay(request: web.Request) -> web.Response:
    return web.Response(text=f"done by {request[VIEWER].name}")


@routes.post("/try/release")
@requires(Role.MONEY)
async def release(request: web.Request) -> web.Response:
    return web.Response(text=f"done by {request[VIEWER].name}")


@routes.get("/try/fail")
async def fail(_: web.Request) -> web.Response:
    raise RuntimeError("postgresql://me:hush@host/db")


@pytest_asyncio.fixture
async def console(settings: Settings) -> AsyncIterator[RunningConsole]:
    async with running_console(settings, routes) as running:
        yield running


@pytest_asyncio.fixture
async def behind_proxy(settings: Settings) -> AsyncIterator[RunningConsole]:
    """The tests' own address is that of a trusted proxy."""
    trusted = "127.0.0.1 10.0.0.0/8 2001:db8::/32"
    async with running_console(settings, routes, console_trusted_proxies=trusted) as running:
        yield running


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        ("viewer", ["look"]),
        ("operator", ["look", "replay"]),
        ("money", ["look", "replay", "release"]),
    ],
)
async def test_each_role_may_what_it_says_and_nothing_else(
    console: RunningConsole, role: str, allowed: list[str]
) -> None:
    client: Client = getattr(console, role)
    pages = {act: await client.post(f"/try/{act}") for act in ("look", "replay", "release")}
    assert {act: page.status for act, page in pages.items()} == {act: 200 if act in allowed else 403 for act in pages}
    for act, page in pages.items():
        assert ("done by" in page.text) == (act in allowed)


async def test_money_is_not_for_operators_and_replays_not_for_those_with_money_alone(console: RunningConsole) -> None:
    client = console.sign_in("max", Role.MONEY)
    assert (await client.post("/try/release")).status == 200
    refused = await client.post("/try/replay")
    assert refused.status == 403
    assert "This needs the role operator; max does not have it." in refused.text


async def test_a_stranger_does_nothing(console: RunningConsole) -> None:
    assert (await console.stranger.post("/try/look")).status == 401
    wrong = Client(console.url, f"{cookie_name(urlsplit(console.url).netloc)}=guessed")
    assert (await wrong.post("/try/look")).status == 401
    assert (await wrong.get("/")).status == 303


@pytest.mark.parametrize(("site", "leads_to"), [("{url}", "%2Fdead%3Freason%3Dno"), ("https://evil.example", "%2F")])
async def test_a_sign_in_that_ended_before_an_act_leads_back_to_its_page(
    console: RunningConsole, site: str, leads_to: str
) -> None:
    page = await console.stranger.post("/try/look", Referer=site.format(url=console.url) + "/dead?reason=no")
    assert page.status == 401
    assert f'href="/sign-in?next={leads_to}"' in page.text


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1"},
        {"Sec-Fetch-Site": "", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "", "Origin": "null"},
        {"Sec-Fetch-Site": "", "Origin": "http://[bad"},
        {"Sec-Fetch-Site": "", "Origin": ""},
    ],
    ids=str,
)
async def test_another_site_cannot_send_a_form(console: RunningConsole, headers: dict[str, str]) -> None:
    page = await console.money.request("POST", "/try/release", headers=headers)
    assert page.status == 403
    assert "Another site made your browser send this, so nothing was done." in page.text


@pytest.mark.parametrize("path", ["/try/release", "/sign-in"])
async def test_an_old_browser_cannot_be_used_with_a_password_that_it_keeps(console: RunningConsole, path: str) -> None:
    headers = {"Sec-Fetch-Site": "", "Authorization": "Basic " + b64encode(b"mona:mona's password").decode()}
    assert (await console.stranger.request("POST", path, headers=headers)).status == 403
    script = await console.stranger.request("POST", "/try/release", headers=headers | {"Accept": "*/*"})
    assert script.text == "done by mona"


async def test_a_browser_without_sec_fetch_site_is_known_by_its_origin(console: RunningConsole) -> None:
    page = await console.money.request("POST", "/try/release", headers={"Sec-Fetch-Site": "", "Origin": console.url})
    assert page.status == 200


@pytest.mark.parametrize(
    "headers",
    [PROXY, PROXY | {"X-Forwarded-For": "127.0.0.1"}, PROXY | {"X-Real-Ip": "127.0.0.1", "Forwarded": "for=10.0.0.5"}],
    ids=str,
)
async def test_a_strangers_headers_are_not_believed(console: RunningConsole, headers: dict[str, str]) -> None:
    assert (await console.stranger.request("GET", "/", headers=headers)).status == 303
    assert (await console.stranger.request("POST", "/try/release", headers=headers)).status == 401


async def test_a_trusted_proxy_says_who_it_is(behind_proxy: RunningConsole) -> None:
    stranger = behind_proxy.stranger
    page = await stranger.request("POST", "/try/release", headers=PROXY)
    assert page.text == "done by ada"
    assert (await stranger.request("POST", "/try/replay", headers=PROXY)).status == 403
    assert (await stranger.get("/")).status == 303
    viewer = await stranger.request("GET", "/", headers=PROXY | {"X-Forwarded-Groups": "payments-viewer"})
    assert (viewer.status, "ada" in viewer.text) == (200, True)
    script = PROXY | {"Sec-Fetch-Site": ""}
    assert (await stranger.request("POST", "/try/release", headers=script)).status == 403


@pytest.mark.parametrize(
    "changes",
    [
        {"X-Forwarded-Groups": ""},
        {"X-Forwarded-Groups": "payments-king,money"},
        {"X-Forwarded-User": "a" * 201},
        {"X-Forwarded-User": "\x1b[2J"},
        {"X-Forwarded-User": "a\N{RIGHT-TO-LEFT OVERRIDE}b"},
    ],
    ids=ascii,
)
async def test_a_proxys_user_without_a_role_or_a_name_is_refused(
    behind_proxy: RunningConsole, changes: dict[str, str]
) -> None:
    sent = [f"{name}: {value}".encode().decode("latin-1") for name, value in (PROXY | changes).items() if value]
    answer = await sent_raw(behind_proxy.url, "GET / HTTP/1.1", *sent)
    assert answer.split(" ", 2)[1] in {"403", "400"}


@pytest.mark.parametrize("again", ["X-Forwarded-User: root", "X-Forwarded-Groups: payments-money"])
async def test_a_proxy_that_passes_on_its_clients_headers_is_refused(behind_proxy: RunningConsole, again: str) -> None:
    sent = ["X-Forwarded-User: eve", "X-Forwarded-Groups: payments-viewer"]
    answer = await sent_raw(behind_proxy.url, "GET / HTTP/1.1", again, *sent)
    assert answer.startswith("HTTP/1.1 403 ")
    assert "it must set both itself" in answer


async def test_the_cookie_is_for_https_where_the_browser_speaks_it(behind_proxy: RunningConsole) -> None:
    form = {"name": "vera", "password": "vera's password"}
    plain = await behind_proxy.stranger.post("/sign-in", form, X_Forwarded_Proto="http")
    assert "Secure" not in plain.headers["Set-Cookie"]
    for header in ({"X_Forwarded_Proto": "https"}, {"Origin": "https://console.example"}):
        page = await behind_proxy.stranger.post("/sign-in", form, **header)
        assert "Secure" in page.headers["Set-Cookie"]


@pytest.mark.parametrize(
    ("forwarded", "same", "other"),
    [
        ("203.0.113.7", "1.1.1.1, 203.0.113.7", "203.0.113.8"),
        ("203.0.113.7, 10.0.0.9", "203.0.113.7, 10.1.2.3", "203.0.113.8, 10.0.0.9"),
        ("2001:db9:1:2::1", "2001:db9:1:2:ffff::9", "2001:db9:1:3::1"),
        ("::ffff:203.0.113.7", "203.0.113.7", "::ffff:203.0.113.8"),
        ("junk", "203.0.113.7, junk", "203.0.113.7"),
    ],
)
async def test_attempts_behind_a_proxy_count_for_the_proxys_client(
    behind_proxy: RunningConsole, forwarded: str, same: str, other: str
) -> None:
    async def status_of(address: str, password: str) -> int:
        form = {"name": "vera", "password": password}
        return (await behind_proxy.stranger.post("/sign-in", form, X_Forwarded_For=address)).status

    assert {await status_of(forwarded, "") for _ in range(10)} == {401}
    assert await status_of(same, "vera's password") == 429
    assert await status_of(other, "vera's password") == 303


async def test_attempts_of_a_stranger_count_whatever_they_forward(console: RunningConsole) -> None:
    statuses = [
        (await console.stranger.post("/sign-in", {"name": "vera"}, X_Forwarded_For=f"203.0.113.{number}")).status
        for number in range(11)
    ]
    assert statuses == [401] * 10 + [429]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:9180", "127.0.0.1.evil.example", "localhost.evil", ""])
async def test_a_name_that_was_made_to_lead_here_gets_nothing(console: RunningConsole, host: str) -> None:
    answer = await sent_raw(console.url, "GET /sign-in HTTP/1.1", f"Host: {host}")
    assert answer.startswith("HTTP/1.1 421 ")
    assert "CONSOLE_HOSTS has the names it goes by" in answer


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "a.localhost", "[::1]:9180", "10.1.2.3", "pay.example"])
async def test_the_console_goes_by_localhost_addresses_and_its_own_names(settings: Settings, host: str) -> None:
    async with running_console(settings, console_hosts="Pay.example b.example") as console:
        assert (await console.stranger.get("/sign-in", Host=host)).status == 200


HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; ",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-",
    "Server": "payment-webhooks",
}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("HEAD", "/", 200),
        ("GET", "/sign-in", 200),
        ("GET", "/nothing", 404),
        ("GET", "/try/fail", 500),
        ("GET", "/healthz", 200),
        ("GET", "/static/console.css", 200),
        ("GET", "/static/nothing.css", 404),
        ("OPTIONS", "/", 405),
        ("DELETE", "/", 405),
        ("POST", "/", 405),
        ("GET", "/sign-out", 405),
        ("POST", "/sign-out", 303),
        ("PROPFIND", "/", 405),
    ],
)
async def test_every_answer_has_the_headers_that_browsers_obey(
    console: RunningConsole, method: str, path: str, status: int
) -> None:
    page = await console.sign_in("ada", Role.MONEY).request(method, path)
    assert page.status == status
    for name, value in HEADERS.items():
        assert value in page.headers[name]
        assert len(page.headers.getall(name)) == 1
    assert status != 405 or page.headers["Allow"]


async def test_an_error_of_the_console_shows_nothing_of_itself(console: RunningConsole) -> None:
    page = await console.viewer.get("/try/fail")
    assert (page.status, "hush" in page.text) == (500, False)
    assert "The console has an error; its log has it." in page.text


async def test_a_server_that_is_gone_is_a_sentence(settings: Settings) -> None:
    gone = {"redis_url": "redis://:hush@127.0.0.1:1/0", "database_url": "postgresql://me:hush@127.0.0.1:1/db"}
    own = Settings.model_validate(settings.model_dump(by_alias=True) | gone)
    async with running_console(own) as console:
        page = await console.viewer.get("/")
        assert (page.status, "hush" in page.text) == (200, False)
        assert page.text.count('role="alert"') == 2


async def test_a_page_that_htmx_asks_for_after_the_sign_in_ended_is_opened_anew(console: RunningConsole) -> None:
    page = await console.stranger.request("GET", "/", headers={"HX-Request": "true", "Accept": "*/*"})
    assert (page.status, page.headers["HX-Refresh"], page.text) == (401, "true", "")
