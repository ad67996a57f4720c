"""The page on which a person signs in with a password, and the way out."""

import asyncio

import structlog
from aiohttp import web

from operations.console.access import Viewer, find_account
from operations.console.render import render
from operations.console.site import SITE

COOKIE = "payments_console"
FIELD_CHARACTERS_MAX = 200

log = structlog.get_logger()

routes = web.RouteTableDef()


@routes.get("/sign-in")
async def show(request: web.Request) -> web.StreamResponse:
    """Show the form."""
    return _form(request, 200)


@routes.post("/sign-in")
async def sign_in(request: web.Request) -> web.StreamResponse:
    """Check name and password, and lead to the page that was asked for."""
    form = await request.post()
    name, password = str(form.get("name", "")), str(form.get("password", ""))
    viewer = await check_attempt(request, name, password)
    if viewer is None:
        return _form(request, 401, problem="The name or the password is wrong.")
    site = request.app[SITE]
    answer = web.HTTPSeeOther(_next(str(form.get("next", ""))))
    answer.set_cookie(
        COOKIE, site.sessions.begin(viewer), path="/", httponly=True, samesite="Strict", secure=request.secure
    )
    log.info("somebody signed in to the console", actor=viewer.name, address=request.remote)
    raise answer


@routes.post("/sign-out")
async def sign_out(request: web.Request) -> web.StreamResponse:
    """End the sign-in."""
    request.app[SITE].sessions.end(request.cookies.get(COOKIE, ""))
    answer = web.HTTPSeeOther("/sign-in")
    answer.del_cookie(COOKIE, path="/")
    raise answer


async def check_attempt(request: web.Request, name: str, password: str) -> Viewer | None:
    """Return who has this name and password, or None. Raise HTTPTooManyRequests for an address that keeps guessing.

    An attempt is counted before it is checked, so that attempts at the same time count as well.
    """
    site, address = request.app[SITE], request.remote or "-"
    if wait_s := site.attempts.wait_s(address):
        raise web.HTTPTooManyRequests(
            text="Too many attempts to sign in; try again later.", headers={"Retry-After": str(int(wait_s) + 1)}
        )
    site.attempts.failed(address)
    if max(len(name), len(password)) > FIELD_CHARACTERS_MAX or not name.isprintable():
        return None
    viewer = await asyncio.to_thread(find_account, site.settings.accounts, name, password)
    if viewer is None:
        log.warning("an attempt to sign in to the console failed", address=address)
    else:
        site.attempts.succeeded(address)
    return viewer


def _form(request: web.Request, status: int, problem: str = "") -> web.StreamResponse:
    next_ = _next(request.query.get("next", ""))
    return render(request, "sign_in.html", status=status, problem=problem, next=next_)


def _next(path: str) -> str:
    """Return the page to lead to: one of ours, whatever the address says."""
    is_ours = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if is_ours else "/"
