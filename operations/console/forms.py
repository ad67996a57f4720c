"""What people fill in: numbers, reasons, and who acts."""

from collections.abc import Mapping

from aiohttp import web

from operations.console.site import VIEWER
from operations.log import Act, ActError

NUMBER_MAX = 2**63 - 1
"""The largest key of a table."""


def read_number(text: str) -> int:
    """Return the key of a row. Raise HTTPBadRequest."""
    if not (text.isascii() and text.isdecimal()) or len(text) > 19 or int(text) > NUMBER_MAX:
        raise web.HTTPBadRequest(text="That is not the number of a row.")
    return int(text)


async def read_act(request: web.Request) -> Act:
    """Return who acts, and the reason that the form gives. Raise HTTPBadRequest without one."""
    form = await request.post()
    reason = read_text(form, "reason")
    if not reason:
        raise web.HTTPBadRequest(text="Nothing was done: say why, the reason is written to the operators' log.")
    try:
        return Act(request[VIEWER].name, reason, "console")
    except ActError as error:
        raise web.HTTPBadRequest(text=f"Nothing was done: {error}.") from None


def read_text(form: Mapping[str, object], name: str) -> str:
    """Return a field of a form without spaces around it, '' if it is absent or a file."""
    value = form.get(name, "")
    return value.strip() if isinstance(value, str) else ""
