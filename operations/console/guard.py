"""What runs before and after every page: whether its sender may, and the headers that browsers obey.

Acts are POST requests. A request that another site made a browser send is refused by what browsers say of it:
`Sec-Fetch-Site` (W3C Fetch Metadata), or `Origin` where a browser does not send it; the cookie is SameSite=Strict.
A page of another site whose name was made to lead here (DNS rebinding) is refused by the name in `Host`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import wraps
from urllib.parse import quote, urlsplit

import structlog
from aiohttp import hdrs, web
from yarl import URL

from operations.console.access import Role
from operations.console.render import render
from operations.console.site import SITE, VIEWER, cookie_name
from operations.console.who import find_viewer, is_named_by_proxy
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
    hdrs.CACHE_CONTROL: "no-store",
    hdrs.SERVER: "payment-webhooks",
}

HEALTH, SIGN_IN, STATIC = "/healthz", "/sign-in", "/static/"

SAFE_METHODS = frozenset({hdrs.METH_GET, hdrs.METH_HEAD})

FORM_TYPES = frozenset({"application/x-www-form-urlencoded", "application/octet-stream"})
"""What a form is sent as; the second stands for no type at all."""

FORM_TIMEOUT_S = 10.0
"""How long a form may take to arrive."""

KEPT_HEADERS = (hdrs.ALLOW, hdrs.RETRY_AFTER)
"""Headers of an error that its page has too."""

log = structlog.get_logger()


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let a request pass if its sender may, and answer every error with a page."""
    try:
        return await _guarded(request, handler)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        page = render(request, "error.html", status=error.status, problem=error.text or error.reason)
        page.headers.update({name: error.headers[name] for name in KEPT_HEADERS if name in error.headers})
        return page
    except UnreachableError as error:
        return render(request, "error.html", status=503, problem=f"{error}.")
    except Exception:
        log.exception("a page of the console failed", method=request.method, path=request.path)
        return render(request, "error.html", status=500, problem="The console has an error; its log has it.")


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
    if request.path != HEALTH:
        _require_own_name(request)
    if request.path == HEALTH or request.path.startswith(STATIC):
        return await handler(request)
    _require_text(request.path, *request.query.keys(), *request.query.values())
    if request.method not in SAFE_METHODS:
        _require_same_site(request)
    viewer = await find_viewer(request)
    if viewer is not None:
        request[VIEWER] = viewer
    elif request.path != SIGN_IN:
        return _ask_to_sign_in(request)
    if request.method not in SAFE_METHODS:
        await _read_form(request)
    if viewer is None:
        return await handler(request)
    with request.app[SITE].connections.working(request.transport):
        return await handler(request)


def _require_own_name(request: web.Request) -> None:
    if not request.app[SITE].settings.is_own_host(request.host):
        raise web.HTTPMisdirectedRequest(
            text="The console does not go by the name in this address. CONSOLE_HOSTS has the names it goes by."
        )


def _require_text(*texts: str) -> None:
    """Refuse what PostgreSQL cannot keep as text: the character 0, and bytes that are not UTF-8."""
    if any("\0" in text or not _is_utf8(text) for text in texts):
        raise web.HTTPBadRequest(text="The address or the form is not text.")


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _require_same_site(request: web.Request) -> None:
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get(hdrs.ORIGIN)
    if site is not None:
        is_ours = site == "same-origin"
    elif origin is not None:
        is_ours = _server_of(origin) == request.host
    else:  # a script, which has to name itself; an old browser sends neither, and may add a password by itself
        names_itself = cookie_name(request.host) not in request.cookies and not is_named_by_proxy(request)
        is_ours = names_itself and not _is_browser(request)
    if not is_ours:
        raise web.HTTPForbidden(text="Another site made your browser send this, so nothing was done.")


def _is_browser(request: web.Request) -> bool:
    return "text/html" in request.headers.get(hdrs.ACCEPT, "") or "Sec-Fetch-Site" in request.headers


def _page_before(request: web.Request) -> str:
    """Return the path of our page from which a form was sent; the first page if that is not known."""
    try:
        before = URL(request.headers.get(hdrs.REFERER, ""))
    except ValueError:
        return "/"
    return before.path_qs if before.authority == request.host else "/"


def _server_of(origin: str) -> str:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


async def _read_form(request: web.Request) -> None:
    """Read the form, which the handler then gets from `request.post()`, and refuse everything else."""
    if request.content_type not in FORM_TYPES or hdrs.CONTENT_ENCODING in request.headers:
        raise web.HTTPUnsupportedMediaType(text="The console reads forms of its own pages only.")
    try:
        async with asyncio.timeout(FORM_TIMEOUT_S):
            form = await request.post()
    except TimeoutError:
        raise web.HTTPRequestTimeout(text="The form did not arrive in time.") from None
    except (LookupError, ValueError):  # an unknown charset, or bytes that are not of it
        raise web.HTTPBadRequest(text="The address or the form is not text.") from None
    _require_text(*form.keys(), *map(str, form.values()))


def _ask_to_sign_in(request: web.Request) -> web.StreamResponse:
    is_browser = _is_browser(request)
    if "HX-Request" in request.headers:
        return web.Response(status=401, headers={"HX-Refresh": "true"})  # htmx opens the page anew, which leads on
    if request.method == hdrs.METH_GET and is_browser:
        raise web.HTTPSeeOther(f"{SIGN_IN}?next={quote(request.rel_url.path_qs, safe='')}")
    response = render(request, "error.html", status=401, problem="Your sign-in is over.", next=_page_before(request))
    if not is_browser:  # which would ask for a password in a window of its own
        response.headers[hdrs.WWW_AUTHENTICATE] = 'Basic realm="payments console", charset="UTF-8"'
    return response
