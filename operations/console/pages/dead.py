"""Dead letters, grouped by reason; one group's list; one dead letter in full. `dead_acts` replays and discards."""

from aiohttp import web

from operations.console.forms import read_number
from operations.console.render import render
from operations.console.site import VIEWER, reading
from operations.dead_letter_groups import Group, group_dead_letters, list_group
from operations.dead_letters import find_dead_letters

routes = web.RouteTableDef()

DEAD_LETTERS_PER_PAGE = 50


@routes.get("/dead")
async def show(request: web.Request) -> web.StreamResponse:
    """Show the groups; or the list of one group, or of all, if the address says so."""
    group, is_all = read_group(request), request.query.get("all") == "1"
    if group is not None or is_all:
        return await _show_list(request, group)
    async with reading(request).postgres() as connection:
        groups = await group_dead_letters(connection)
    return render(request, "dead.html", groups=groups, address=group_address)


@routes.get("/dead/{id}")
async def show_one(request: web.Request) -> web.StreamResponse:
    """Show one open dead letter with its traceback."""
    number = read_number(request.match_info["id"])
    async with reading(request).postgres() as connection:
        found = [each for each in await find_dead_letters(connection, str(number)) if each.id == number]
    status = 200 if found else 404
    return render(
        request, "dead_letter.html", status=status, number=number, letter=found[0] if found else None,
        sees_traceback=request[VIEWER].sees_personal_data,
    )  # fmt: skip


def read_group(request: web.Request) -> Group | None:
    """Return the group that the address names. The source is absent for entries that were not envelopes."""
    reason = request.query.get("group")
    return None if reason is None else Group(request.query.get("source"), reason)


def group_address(group: Group | None) -> dict[str, str]:
    """Return what the address of a group's list has after `?`."""
    if group is None:
        return {"all": "1"}
    return {"group": group.reason} | ({"source": group.source} if group.source is not None else {})


async def _show_list(request: web.Request, group: Group | None) -> web.StreamResponse:
    after = read_number(request.query.get("after", "0"))
    async with reading(request).postgres() as connection:
        letters = await list_group(connection, group, limit=DEAD_LETTERS_PER_PAGE, after=after)
    return render(
        request,
        "dead_letters.html",
        group=group,
        address=group_address(group),
        letters=letters,
        after=after,
        all_chosen=request.query.get("chosen") == "all",
        next=letters[-1].id if len(letters) == DEAD_LETTERS_PER_PAGE else None,
    )
