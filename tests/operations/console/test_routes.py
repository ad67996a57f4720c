"""All addresses of the console: who may do something there."""

from consumers.settings import Settings
from operations.console.app import make_app
from operations.servers import Servers
from tests.support.console import RunningConsole

READS_ONLY = {"/sign-in", "/sign-out", "/operations/check"}
"""What is posted without a role."""


async def test_every_act_of_every_page_needs_a_role_and_a_stranger_sees_no_page(
    console: RunningConsole, settings: Settings
) -> None:
    app = make_app(Servers(settings), console.site.settings)
    addresses = {
        (route.method, route.resource.canonical.format(namespace="stripe", id="1", name="console.css"))
        for route in app.router.routes()
        if route.resource
    }
    acts = {path for method, path in addresses if method not in {"GET", "HEAD"}} - READS_ONLY
    assert len(acts) >= 6
    for path in acts:
        for form in ({}, {"reason": "x", "confirm": "yes", "ids": "1", "source": "stripe", "keep": "booked"}):
            assert (await console.viewer.post(path, form)).status == 403
            assert (await console.stranger.post(path, form)).status == 401
    pages = {path for method, path in addresses if method == "GET" and not path.startswith("/static/")}
    for path in pages - {"/healthz", "/sign-in"}:
        assert (await console.stranger.get(path)).location.startswith("/sign-in?next=")
