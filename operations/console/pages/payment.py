"""One payment: its row, its transfers with running balances, its disputes, conflicts, money on hold, and its events."""

import json
from datetime import UTC, datetime

from aiohttp import web

from contract.keys import NAMESPACE_PATTERN
from operations.console.links import subject_of
from operations.console.pages.events import LEVELS, REASON_CHARS_MAX, Found
from operations.console.render import render
from operations.console.site import VIEWER, Reading, Site, reading
from operations.masking import mask_text
from operations.search import SHOWN_UNASKED, Choice, Page, Query, Status, search
from operations.why.explain import explain_payment
from operations.why.model import PaymentDetails, Subject
from operations.why.running_balances import running_balances
from sql.connect import UnreachableError

routes = web.RouteTableDef()

EVENTS_MAX = 50
"""Events of a payment on its page; the search has the others."""


@routes.get("/payments/{namespace}/{id:[^/]+}")
async def show(request: web.Request) -> web.StreamResponse:
    """Show the payment."""
    reach, subject = reading(request, complete=True), subject_of(request)
    if not NAMESPACE_PATTERN.fullmatch(subject.namespace):
        raise web.HTTPNotFound(text=f"{subject.namespace!r} cannot be a namespace.")
    events = await find_events(reach, subject)
    explanation = await explain_payment(reach.servers, subject, _subjects(events.page))
    result = explanation.result
    problems = [f"{problem}." for problem in (result.redis_problem, result.postgres_problem) if problem]
    details = result.payments.get(subject)
    if details is None and not events.page.rows:
        problem = " ".join([f"Nothing is known of the payment {subject}.", *problems, *events.page.left_out])
        return render(request, "error.html", status=503 if problems else 404, problem=problem)
    details = details or PaymentDetails(subject)
    return render(
        request,
        "payment.html",
        subject=subject,
        details=details,
        running=running_balances(details.transfers),
        explanation=explanation,
        problems=problems,
        found=events,
        levels=LEVELS,
        reason_max=REASON_CHARS_MAX,
        at=datetime.now(UTC),
        masked=str if request[VIEWER].sees_personal_data else mask_text,
    )


async def find_events(
    reach: Reading | Site, subject: Subject, statuses: frozenset[Status] = SHOWN_UNASKED
) -> Found:  # fmt: skip
    """Return the newest events of the payment, and the query that finds them all."""
    text = f"payment:{json.dumps(subject.id, ensure_ascii=False)} namespace:{subject.namespace}"
    query = Query(text=text, payments=(subject.id,), namespaces=Choice((subject.namespace,)), statuses=statuses)
    try:
        return Found(text, await search(reach, reach.servers.keys, query, limit=EVENTS_MAX))
    except UnreachableError:
        return Found(text, Page())  # the explanation says which server cannot be reached


def _subjects(page: Page) -> list[Subject]:
    return [Subject(row.namespace, row.event_id) for row in page.rows if row.namespace and row.event_id]
