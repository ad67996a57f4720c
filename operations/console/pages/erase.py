"""Erasing the personal data of one payment or event: first a page that counts, then the act."""

from collections.abc import Mapping

from aiohttp import web

from operations.console.access import Role
from operations.console.forms import read_act, read_text
from operations.console.guard import requires
from operations.console.render import render
from operations.console.site import SITE
from operations.erasure import Erasable, ErasureError, Kind, erase, find_erasable

routes = web.RouteTableDef()


@routes.get("/erase")
@requires(Role.MONEY)
async def show(request: web.Request) -> web.StreamResponse:
    """Show what is kept of it, or why it may not be erased."""
    kind, id_text = _read_subject(request.query)
    try:
        erasable = await find_erasable(request.app[SITE].servers, kind, id_text)
    except ErasureError as error:
        return _show(request, kind, id_text, refusal=str(error))
    return _show(request, kind, id_text, erasable)


@routes.post("/erase")
@requires(Role.MONEY)
async def act_on(request: web.Request) -> web.StreamResponse:
    """Erase it, and show what was erased."""
    act, (kind, id_text) = await read_act(request), _read_subject(await request.post())
    servers = request.app[SITE].servers
    try:
        done = await erase(servers, await find_erasable(servers, kind, id_text), act=act)
    except ErasureError as error:
        raise web.HTTPConflict(text=f"{error}. Nothing was erased.") from None
    return _show(request, kind, id_text, done, is_done=True)


def _show(
    request: web.Request, kind: Kind, id_text: str, erasable: Erasable | None = None, *, refusal: str = "",
    is_done: bool = False,
) -> web.StreamResponse:  # fmt: skip
    return render(request, "erase.html", kind=kind, id_text=id_text, erasable=erasable, refusal=refusal,
                  is_done=is_done)  # fmt: skip


def _read_subject(form: Mapping[str, object]) -> tuple[Kind, str]:
    for kind in ("payment", "event"):
        if id_text := read_text(form, kind):
            return "payment" if kind == "payment" else "event", id_text
    raise web.HTTPBadRequest(text="Nothing was erased: name a payment or an event.")
