"""A console on a free port with people who are signed in, one client for each role."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer
from multidict import CIMultiDictProxy
from pydantic import SecretStr

from consumers.settings import Settings as WorkerSettings
from operations.console.access import Role, Viewer, hash_password
from operations.console.app import make_app
from operations.console.settings import Settings
from operations.console.site import SITE, Site, cookie_name
from operations.servers import Servers

BROWSER = {"Accept": "text/html,application/xhtml+xml", "Sec-Fetch-Site": "same-origin"}
"""What a browser sends with a link or a form of the console's own pages."""

ANSWER_TIMEOUT_S = 10.0

PASSWORDS = {"vera": "vera's password", "olga": "olga's password", "mona": "mona's password"}
"""Who may sign in: vera is a viewer, olga an operator, mona has all roles."""

ROLES = {"vera": [Role.VIEWER], "olga": [Role.OPERATOR], "mona": [Role.OPERATOR, Role.MONEY]}


@dataclass(frozen=True)
class Page:
    """An answer, read whole."""

    status: int
    text: str
    headers: CIMultiDictProxy[str]

    @property
    def location(self) -> str:
        """Where a redirect leads."""
        return self.headers["Location"]


class Client:
    """A person's browser, without JavaScript. It follows no redirect."""

    def __init__(self, url: str, cookie: str = "") -> None:
        self.url = url
        self.headers = BROWSER | {"Cookie": cookie}

    async def get(self, path: str, query: Mapping[str, str] | None = None, /, **headers: str) -> Page:
        """Open a page. A keyword is a header, with `_` for `-`."""
        return await self.request("GET", path, params=query, headers=headers)

    async def post(self, path: str, form: Mapping[str, str] | None = None, /, **headers: str) -> Page:
        """Send a form. A keyword is a header, with `_` for `-`."""
        return await self.request("POST", path, data=form or {}, headers=headers)

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        data: Mapping[str, str] | bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Page:
        """Send any request. An empty header is left out."""
        sent = self.headers | {name.replace("_", "-"): value for name, value in (headers or {}).items()}
        sent = {name: value for name, value in sent.items() if value}
        async with (
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.request(
                method, self.url + path, params=params, data=data, headers=sent, allow_redirects=False
            ) as answer,
        ):
            return Page(answer.status, await answer.text(), answer.headers)


@dataclass(frozen=True)
class RunningConsole:
    """A console, and a client of each kind of person."""

    url: str
    site: Site
    stranger: Client
    viewer: Client
    operator: Client
    money: Client

    def sign_in(self, name: str, *roles: Role) -> Client:
        """Return the client of somebody who has signed in."""
        return _signed_in(self.url, self.site, name, *roles)


@asynccontextmanager
async def running_console(
    settings: WorkerSettings, routes: web.RouteTableDef | None = None, **console: object
) -> AsyncIterator[RunningConsole]:
    """Run a console on the workers' servers within this process. `console` are settings of it, by name."""
    own = Settings.model_validate({"console_password_hash": accounts(), "log_level": "INFO"} | console)
    app = make_app(Servers(settings), own)
    app.add_routes(routes or ())
    async with TestServer(app, host="127.0.0.1") as server:
        url, site = str(server.make_url("")).rstrip("/"), app[SITE]
        people = [_signed_in(url, site, name, *roles) for name, roles in ROLES.items()]
        yield RunningConsole(url, site, Client(url), *people)


def _signed_in(url: str, site: Site, name: str, *roles: Role) -> Client:
    return Client(url, f"{cookie_name(urlsplit(url).netloc)}={site.sessions.begin(Viewer(name, frozenset(roles)))}")


async def sent_raw(url: str, *lines: str, body: str = "") -> str:
    """Return the whole answer to these lines, each character of which is a byte. Host is the URL's unless given."""
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
    host = () if any(line.startswith("Host:") for line in lines) else (f"Host: {urlsplit(url).netloc}",)
    writer.write("\r\n".join([*lines, *host, "Connection: close", "", body]).encode("latin-1"))
    answer = await asyncio.wait_for(reader.read(), ANSWER_TIMEOUT_S)
    writer.close()
    return answer.decode("latin-1")


@cache
def accounts() -> SecretStr:
    """Return CONSOLE_PASSWORD_HASH with the people of PASSWORDS. Costs 50 ms each, once."""
    return SecretStr(
        " ".join(f"{name}:{'+'.join(ROLES[name])}:{hash_password(password)}" for name, password in PASSWORDS.items())
    )
