"""The page on which a person signs in with a password, and the way out."""

import structlog
from aiohttp import web

from operations.console.render import render
from operations.console.site import SITE, cookie_name
from operations.console.who import check_attempt, client_address, is_over_tls

log = structlog.get_logger()

routes = web.RouteTableDef()


@routes.get("/sign-in")
async def show(request: web.Request) -> web.StreamResponse:
    """Show the form."""
    return _form(request, 200, request.query.get("next", ""))


@routes.post("/sign-in")
async def sign_in(request: web.Request) -> web.StreamResponse:
    """Check name and password, and lead to the page that was asked for. A sign-in before it ends."""
    form = await request.post()
    name, password, asked = (str(form.get(field, "")) for field in ("name", "password", "next"))
    viewer = await check_attempt(request, name, password)
    if viewer is None:
        return _form(request, 401, asked, name=name, problem="The name or the password is wrong.")
    site = request.app[SITE]
    site.sessions.end(request.cookies.get(cookie_name(request.host), ""))
    answer = web.HTTPSeeOther(_own_page(asked))
    answer.set_cookie(
        cookie_name(request.host),
        site.sessions.begin(viewer),
        path="/",
        httponly=True,
        samesite="Strict",
        secure=is_over_tls(request),
    )
    log.info("somebody signed in to the console", actor=viewer.name, address=client_address(request))
    raise answer


@routes.post("/sign-out")
async def sign_out(request: web.Request) -> web.StreamResponse:
    """End the sign-in."""
    site = request.app[SITE]
    site.sessions.end(request.cookies.get(cookie_name(request.host), ""))
    answer = web.HTTPSeeOther("/sign-in")
    answer.del_cookie(cookie_name(request.host), path="/", httponly=True, samesite="Strict")
    raise answer


def _form(request: web.Request, status: int, asked: str, problem: str = "", name: str = "") -> web.StreamResponse:
    return render(request, "sign_in.html", status=status, problem=problem, name=name, next=_own_page(asked))


def _own_page(path: str) -> str:
    """Return the page to lead to: one of ours, whatever the address says."""
    is_ours = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isascii() and path.isprintable()
    return path if is_ours else "/"
