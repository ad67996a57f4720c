"""Conflicts, with what each decision would book; money on hold, and its release."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from aiohttp import web

from consumers.handlers import HandlerFailed, HandlersError
from contract.accounts import PostingRules, PostingRulesError
from operations.conflict_preview import preview_decisions
from operations.conflicts import (
    AmbiguousError,
    ConflictMatch,
    ConflictSummary,
    Keep,
    decide,
    find_decision,
    list_conflicts,
)
from operations.console.access import Role
from operations.console.conflict_story import read_story
from operations.console.forms import read_act, read_number, read_text
from operations.console.guard import requires
from operations.console.render import render
from operations.console.site import SITE, reading
from operations.held_back import UntrustedSourceError, count_held_back, is_trusted, release_source
from operations.payment_acts import Posting, failure_reason
from operations.release_preview import preview_release
from operations.servers import LONG_TIMEOUT_S
from operations.waiting_money import ADDED_UP_MAX, add_up_waiting_money
from operations.why.model import Subject
from runtime.sources_file import read_posting_rules

if TYPE_CHECKING:
    from sql.connect import Connection

routes = web.RouteTableDef()

CONFLICTS_PER_PAGE = 50


@routes.get("/conflicts")
async def show(request: web.Request) -> web.StreamResponse:
    """Show the open conflicts, the oldest first, and what is on hold."""
    after = read_number(request.query.get("after", "0"))
    async with reading(request).postgres() as connection:
        total, conflicts = await list_conflicts(connection, limit=CONFLICTS_PER_PAGE, after=after)
        held_back, money = await count_held_back(connection), await add_up_waiting_money(connection)
    return render(
        request,
        "conflicts.html",
        total=total,
        conflicts=conflicts,
        held_back=held_back,
        money=money,
        added_up_max=ADDED_UP_MAX,
        after=after,
        trusted=_trusted(request),
        next=conflicts[-1].id if len(conflicts) == CONFLICTS_PER_PAGE else None,
    )


@routes.get("/conflicts/release")
async def show_release(request: web.Request) -> web.StreamResponse:
    """Show what is on hold as unsigned for a source, and what its release would book."""
    source, path = request.query.get("source", ""), request.app[SITE].servers.settings.sources_file
    try:
        rules = read_posting_rules(path)
    except PostingRulesError as error:
        raise web.HTTPConflict(text=f"{error}.") from error
    async with request.app[SITE].postgres() as connection:
        money = await add_up_waiting_money(connection)
        preview = await preview_release(connection, rules, source)
    return render(
        request,
        "release.html",
        preview=preview,
        money=money.on_hold("unsigned", source),
        untrusted=None if is_trusted(rules, source) else _untrusted_sentence(path.name, source, rules),
    )


@routes.get("/conflicts/{id}")
async def show_one(request: web.Request) -> web.StreamResponse:
    """Show what is booked now, and what each of the two decisions would book."""
    number = read_number(request.match_info["id"])
    async with request.app[SITE].postgres() as connection:
        conflict = await _find(connection, number)
        if conflict is None:
            return await _show_decided(request, connection, number)
        choice = await preview_decisions(connection, [_match(conflict)])
    story = await read_story(request.app[SITE], Subject(conflict.namespace, conflict.payment_id), number)
    return render(request, "conflict.html", conflict=conflict, choice=choice, story=story)


@routes.post("/conflicts/{id}/resolve")
@requires(Role.MONEY)
async def resolve(request: web.Request) -> web.StreamResponse:
    """Show what the decision books, and once that is confirmed, decide and show what was booked."""
    number, act = read_number(request.match_info["id"]), await read_act(request)
    form = await request.post()
    keep, confirmed = _read_keep(read_text(form, "keep")), read_text(form, "shown")
    handlers, timeout_s = _posting(request).handlers, request.app[SITE].servers.settings.handler_timeout_s
    async with request.app[SITE].postgres(LONG_TIMEOUT_S) as connection:
        conflict = await _find(connection, number)
        if conflict is None:
            return await _show_decided(request, connection, number)
        choice = await preview_decisions(connection, [_match(conflict)])
        preview = choice.preview(keep)
        if preview.problem:
            raise web.HTTPConflict(text=f"Nothing was decided: {preview.problem}")
        if (digest := preview.digest(choice.now)) != confirmed:
            return render(
                request, "conflict_confirm.html", conflict=conflict, choice=choice, preview=preview, digest=digest,
                has_changed=bool(confirmed), reason=act.reason,
            )  # fmt: skip
        try:
            decision = await decide(connection, handlers, [_match(conflict)], keep, timeout_s=timeout_s, act=act)
        except AmbiguousError as error:
            raise web.HTTPConflict(text=f"Nothing was decided: {error}.") from None
        except HandlerFailed as error:
            raise web.HTTPConflict(
                text=f"Nothing was decided: {failure_reason(error)}. All was undone; decide again once it works."
            ) from None
        if not decision.decided:
            return await _show_decided(request, connection, number)
    return render(request, "conflict_decided.html", number=number, conflict=conflict, decision=decision, keep=keep)


@routes.post("/conflicts/release")
@requires(Role.MONEY)
async def release(request: web.Request) -> web.StreamResponse:
    """Book what is on hold as unsigned for a source that is trusted now, and show what became of it."""
    act, source = await read_act(request), read_text(await request.post(), "source")
    posting = _posting(request)
    try:
        outcome = await release_source(request.app[SITE].servers, posting, source, act=act)
    except UntrustedSourceError as error:
        file = request.app[SITE].servers.settings.sources_file.name
        sentence = f"Nothing was released. {_untrusted_sentence(file, error.source, posting.rules)}"
        raise web.HTTPConflict(text=sentence) from None
    return render(request, "released.html", source=source, outcome=outcome)


async def _find(connection: "Connection", number: int) -> ConflictSummary | None:
    _, found = await list_conflicts(connection, limit=1, after=number - 1)
    return found[0] if found and found[0].id == number else None


async def _show_decided(request: web.Request, connection: "Connection", number: int) -> web.StreamResponse:
    earlier = await find_decision(connection, str(number))
    status = 404 if earlier is None else 200
    story = None
    if earlier is not None:
        story = await read_story(request.app[SITE], Subject(earlier.namespace, earlier.payment_id), number)
    return render(request, "conflict_closed.html", status=status, number=number, earlier=earlier, story=story)


def _match(conflict: ConflictSummary) -> ConflictMatch:
    return ConflictMatch(conflict.id, conflict.namespace, conflict.payment_id)


def _read_keep(text: str) -> Keep:
    if text == "booked":
        return "booked"
    if text == "reported":
        return "reported"
    raise web.HTTPBadRequest(text="Nothing was decided: say which money is right, booked or reported.")


def _posting(request: web.Request) -> Posting:
    try:
        return Posting.read(request.app[SITE].servers.settings)
    except (HandlersError, PostingRulesError) as error:
        raise web.HTTPConflict(text=f"Nothing was done: {error}.") from error


def _trusted(request: web.Request) -> set[str]:
    """Return the sources whose unsigned money may be released now; none if their file cannot be read."""
    try:
        rules = read_posting_rules(request.app[SITE].servers.settings.sources_file)
    except PostingRulesError:
        return set()
    return {source for source in rules if is_trusted(rules, source)}


def _untrusted_sentence(file: str, source: str, rules: Mapping[str, PostingRules]) -> str:
    if source not in rules:
        return f"{file} has no source {source!r}; it has {', '.join(sorted(rules)) or 'no source'}."
    return (
        f'The trust of source {source!r} is "signed". To let its unsigned facts move money, set trust = "all" under '
        f"[{source}] in {file}, restart the workers, and release it then."
    )
