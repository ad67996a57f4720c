"""Replay and discard of dead letters: first a page that says how many are meant, then the act and each outcome."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from aiohttp import web

from operations.bulk import BULK_MAX, Selection, discard_selected, replay_selected, select_dead_letters
from operations.console.access import Role
from operations.console.forms import read_act, read_number, read_text
from operations.console.guard import requires
from operations.console.pages.dead import group_address, read_group
from operations.console.pages.events import QUALIFIERS, REASON_CHARS_MAX
from operations.console.render import render
from operations.console.site import SITE
from operations.dead_letter_groups import ID_MAX, list_group
from operations.dead_letters import FAILED, DeadLetterOutcome, DeadLetterResult, read_open
from operations.log import Act
from operations.search import QueryError, parse_query
from operations.search.language import QUERY_CHARS_MAX
from operations.servers import Servers
from sql.connect import UnreachableError

if TYPE_CHECKING:
    from sql.connect import Connection

routes = web.RouteTableDef()

Name = Literal["replay", "discard"]
Acts = Callable[..., AsyncIterator[DeadLetterResult]]

ENDED_MAX = 20
"""Events of the link that shows how they ended."""

IDS_SHOWN_MAX = 20
"""Dead letters that the confirmation lists."""


PLAIN_OUTCOMES = {
    DeadLetterOutcome.ADDED: "added to the stream again",
    DeadLetterOutcome.COMMITTED: "applied meanwhile, so closed",
    DeadLetterOutcome.WAITING: "in the stream already, so closed",
    DeadLetterOutcome.NOT_ACKED_YET: "its entry is still in work: stays open, try again in a moment",
    DeadLetterOutcome.UNPROVEN: "in the stream, and not proven to be on disk: stays open, try again",
    DeadLetterOutcome.CLOSED_BEFORE: "somebody closed it before",
    DeadLetterOutcome.DISCARDED: "discarded",
}


@dataclass(frozen=True, slots=True)
class Meant:
    """What the form means. `is_cut`: there are more, and only the oldest BULK_MAX are meant.

    `is_confirmed`: a person was shown these dead letters, by number, and wants the act. What a query or a group matches
    only since then, such as one with `until:1h`, is not touched.
    """

    selection: Selection
    how: Literal["ids", "query", "group"]
    is_cut: bool = False
    is_confirmed: bool = False
    hint: str = ""
    """What the person may have meant instead."""


@routes.post("/dead/replay")
@requires(Role.OPERATOR)
async def replay(request: web.Request) -> web.StreamResponse:
    """Add the entries to the stream again."""
    return await _act(request, "replay", replay_selected)


@routes.post("/dead/discard")
@requires(Role.OPERATOR)
async def discard(request: web.Request) -> web.StreamResponse:
    """Close them without applying their events."""
    return await _act(request, "discard", discard_selected)


async def _act(request: web.Request, name: Name, run: Acts) -> web.StreamResponse:
    form = await request.post()
    try:
        async with request.app[SITE].postgres() as connection:
            meant = await _select(request, connection)
    except QueryError as error:
        return render(
            request, "dead_query.html", status=400, name=name, problem=str(error), query=read_text(form, "query"),
            qualifiers=QUALIFIERS,
        )  # fmt: skip
    if meant.is_confirmed and meant.selection.ids:
        results, problem = await _run(request.app[SITE].servers, run, meant.selection, await read_act(request))
        counts = Counter(result.outcome for result in results)
        return render(
            request,
            "dead_done.html",
            name=name,
            results=results,
            counts=counts.most_common(),
            failed=FAILED,
            plain=PLAIN_OUTCOMES,
            problem=problem,
            left=meant.selection.count - len(results),
            ended=_ended_query(results),
            ended_of=ENDED_MAX,
        )
    async with request.app[SITE].postgres() as connection:
        letters = await read_open(connection, meant.selection.ids[:IDS_SHOWN_MAX])
    return render(
        request,
        "dead_confirm.html",
        name=name,
        meant=meant,
        letters=letters,
        reason_max=REASON_CHARS_MAX,
        qualifiers=QUALIFIERS,
        address=group_address(read_group(request)) if meant.how == "group" else {},
        query=read_text(form, "query"),
        reason=read_text(form, "reason"),
        bulk_max=BULK_MAX,
        ids_shown_max=IDS_SHOWN_MAX,
    )


def _ended_query(results: Sequence[DeadLetterResult]) -> str:
    """Return the search that shows how the first events that were added end, '' if none was."""
    added = [each.event.partition("/")[2] for each in results if each.outcome is DeadLetterOutcome.ADDED]
    query = ""
    for event_id in added[:ENDED_MAX]:
        term = f"event:{json.dumps(event_id, ensure_ascii=False)}"
        if len(query) + len(term) >= QUERY_CHARS_MAX:
            break
        query = f"{query} {term}".strip()
    return query


async def _select(request: web.Request, connection: "Connection") -> Meant:
    form = await request.post()
    is_confirmed = read_text(form, "confirm") == "yes"
    if ids := sorted({read_number(str(each)) for each in form.getall("ids", [])}):
        if len(ids) > BULK_MAX:
            raise web.HTTPBadRequest(text=f"Nothing was done: {len(ids)} are chosen, and {BULK_MAX} are the most.")
        return Meant(Selection(f"{len(ids)} chosen in a list", tuple(ids)), "ids", is_confirmed=is_confirmed)
    shown = {read_number(each) for each in read_text(form, "shown").split()}
    meant = await _select_matching(request, connection, max(shown, default=ID_MAX))
    if not (is_confirmed and shown):
        return meant
    return Meant(meant.selection.among(shown), meant.how, is_confirmed=True)


async def _select_matching(request: web.Request, connection: "Connection", up_to: int) -> Meant:
    if text := read_text(await request.post(), "query"):
        query = parse_query(text, datetime.now(UTC))
        return Meant(await select_dead_letters(connection, query, up_to=up_to), "query", hint=query.hint)
    group = read_group(request)
    if group is None:
        raise web.HTTPBadRequest(text="Nothing was done: no dead letter is chosen.")
    letters = await list_group(connection, group, limit=BULK_MAX + 1, up_to=up_to)
    ids = tuple(letter.id for letter in letters[:BULK_MAX])
    text = f"the group source {group.source or '-'}, reason {group.reason}"
    return Meant(Selection(text, ids), "group", is_cut=len(letters) > BULK_MAX)


async def _run(
    servers: Servers, run: Acts, selection: Selection, act: Act
) -> tuple[list[DeadLetterResult], str | None]:  # fmt: skip
    """Return each outcome, and why it ended early if it did."""
    results: list[DeadLetterResult] = []
    try:
        async for result in run(servers, selection, act=act):
            results.append(result)  # noqa: PERF401 - what was done before an error is shown
    except UnreachableError as error:
        return results, f"{error}. The others were not touched."
    return results, None
