"""What runs before and after every page: who asks, whether they may, and the headers that browsers obey.

Acts are POST requests. A request that another site made a browser send is refused by what browsers say of it:
`Sec-Fetch-Site` (W3C Fetch Metadata), or `Origin` where a browser does not send it; the cookie is SameSite=Strict.
"""

import base64
import binascii
from collections.abc import Awaitable, Callable, Iterable
from functools import wraps
from ipaddress import IPv4Network, IPv6Network, ip_address
from urllib.parse import quote, urlsplit

import structlog
from aiohttp import hdrs, web

from operations.console.access import Role, Viewer
from operations.console.render import render
from operations.console.sign_in import COOKIE, check_attempt
from operations.console.site import SITE, VIEWER
from sql.connect import UnreachableError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

PUBLIC = frozenset({"/sign-in", "/healthz"})
"""Paths for everybody. Assets are public too: the sign-in page needs them."""

STATIC = "/static/"

SAFE_METHODS = frozenset({hdrs.METH_GET, hdrs.METH_HEAD})

USER_HEADER, GROUPS_HEADER = "X-Forwarded-User", "X-Forwarded-Groups"
"""The names that oauth2-proxy and other authenticating proxies use."""

GROUP_ROLES = {f"payments-{role}": role for role in Role}
"""The groups of a proxy that give a role: payments-viewer, payments-operator, payments-money."""

log = structlog.get_logger()


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let a request pass if its sender may, and answer every error with a page."""
    try:
        response = await _guarded(request, handler)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        response = render(request, "error.html", status=error.status, problem=error.text or error.reason)
    except UnreachableError as error:
        response = render(request, "error.html", status=503, problem=f"{error}.")
    except Exception:
        log.exception("a page of the console failed", path=request.path)
        response = render(request, "error.html", status=500, problem="The console has an error; its log has it.")
    return response


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add what browsers obey to an answer before it is sent, whichever it is."""
    response.headers.update(SECURITY_HEADERS)
    if request.path.startswith(STATIC):
        response.headers[hdrs.CACHE_CONTROL] = "no-cache"  # kept, and asked for again by its ETag


def requires(role: Role) -> Callable[[Handler], Handler]:
    """Return a decorator for an act that only people with this role may do."""

    def decorate(handler: Handler) -> Handler:
        @wraps(handler)
        async def checked(request: web.Request) -> web.StreamResponse:
            if not request[VIEWER].may(role):
                raise web.HTTPForbidden(text=f"This needs the role {role}; {request[VIEWER].name} does not have it.")
            return await handler(request)

        return checked

    return decorate


async def _guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.method not in SAFE_METHODS:
        _require_same_site(request)
    viewer = await _viewer(request)
    if viewer is not None:
        request[VIEWER] = viewer
    elif request.path not in PUBLIC and not request.path.startswith(STATIC):
        return _ask_to_sign_in(request)
    return await handler(request)


def _require_same_site(request: web.Request) -> None:
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get(hdrs.ORIGIN)
    if site is not None:
        is_ours = site == "same-origin"
    elif origin is not None:
        is_ours = urlsplit(origin).netloc == request.host
    else:
        is_ours = COOKIE not in request.cookies  # no browser: a script with a password of its own
    if not is_ours:
        raise web.HTTPForbidden(text="Another site made your browser send this, so nothing was done.")


async def _viewer(request: web.Request) -> Viewer | None:
    site = request.app[SITE]
    if _is_trusted_proxy(request.remote, site.settings.proxies) and request.headers.get(USER_HEADER):
        return _named_by_proxy(request)
    if token := request.cookies.get(COOKIE):
        return site.sessions.find(token)
    scheme, _, credentials = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, _, password = base64.b64decode(credentials, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return await check_attempt(request, name, password)


def _named_by_proxy(request: web.Request) -> Viewer:
    groups = {each.strip() for header in request.headers.getall(GROUPS_HEADER, []) for each in header.split(",")}
    roles = frozenset(role for group, role in GROUP_ROLES.items() if group in groups)
    if not roles:
        raise web.HTTPForbidden(text=f"None of your groups may use the console: {', '.join(GROUP_ROLES)}.")
    return Viewer(request.headers[USER_HEADER], roles)


def _is_trusted_proxy(remote: str | None, networks: Iterable[IPv4Network | IPv6Network]) -> bool:
    try:
        address = ip_address(remote or "")
    except ValueError:
        return False
    return any(address in network for network in networks)


def _ask_to_sign_in(request: web.Request) -> web.StreamResponse:
    if request.method == hdrs.METH_GET and "text/html" in request.headers.get(hdrs.ACCEPT, ""):
        raise web.HTTPSeeOther(f"/sign-in?next={quote(request.rel_url.path_qs, safe='')}")
    response = render(request, "error.html", status=401, problem="Sign in first.")
    response.headers[hdrs.WWW_AUTHENTICATE] = 'Basic realm="payments console", charset="UTF-8"'
    return response
