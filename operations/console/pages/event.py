"""One event: what happened to it and when, the next step if it is stuck, and what it carries."""

from collections.abc import Callable

from aiohttp import web

from contract.keys import NAMESPACE_PATTERN
from operations.body import masked_body, show_body
from operations.console.links import subject_of
from operations.console.render import render
from operations.console.site import VIEWER, reading
from operations.curl_command import curl_command
from operations.event_content import EventContent, read_content, with_stream
from operations.masking import mask_headers, mask_text
from operations.why.explain import Explanation, explain_event
from operations.why.model import EventDetails, Subject
from sql.connect import UnreachableError

routes = web.RouteTableDef()


@routes.get("/events/{namespace}/{id:[^/]+}")
async def show(request: web.Request) -> web.StreamResponse:
    """Show the event, with its personal data masked for those who may not see it."""
    subject = subject_of(request)
    explanation, content = await _read(request, subject)
    details = explanation.result.events.get(subject)
    if details is None or not _is_known(details):
        return _not_found(request, subject, explanation)
    is_masked = not request[VIEWER].sees_personal_data
    body = None if content.body is None else show_body(content.body, is_masked=is_masked)
    curl = content.body and curl_command(content.source, content.body, content.headers, is_masked=is_masked)
    readable = details.readable_entries
    return render(
        request,
        "event.html",
        subject=subject,
        event=details.applied or (readable[-1].event if readable else None),
        details=details,
        diagnosis=explanation.diagnoses[subject],
        explanation=explanation,
        content=content,
        headers=mask_headers(content.headers) if is_masked else content.headers,
        body=body,
        curl=curl,
        is_masked=is_masked,
        masked=_mask(is_masked),
        problems=_problems(explanation),
    )


@routes.get("/bodies/{namespace}/{id:[^/]+}")
async def download(request: web.Request) -> web.StreamResponse:
    """Send the body as a text file that no browser shows or executes; masked for those who may not see it whole."""
    subject = subject_of(request)
    _, content = await _read(request, subject)
    if content.body is None:
        raise web.HTTPNotFound(text=f"The bytes of {subject} are not kept, or nothing is known of it.")
    body: bytes | None = content.body
    if not request[VIEWER].sees_personal_data:
        masked = masked_body(content.body)
        if masked is None:
            raise web.HTTPForbidden(text="This body cannot be masked: it is not JSON or too large. Ask an operator.")
        body = masked.encode()
    headers = {"Content-Disposition": 'attachment; filename="body.txt"'}
    return web.Response(body=body, content_type="text/plain", charset="utf-8", headers=headers)


async def _read(request: web.Request, subject: Subject) -> tuple[Explanation, EventContent]:
    """Read everything. A server that cannot be reached is a problem in the explanation, not an error."""
    if not NAMESPACE_PATTERN.fullmatch(subject.namespace):
        raise web.HTTPNotFound(text=f"{subject.namespace!r} cannot be a namespace.")
    reach = reading(request, complete=True)
    try:
        async with reach.postgres() as connection:
            content = await read_content(connection, subject)
            explanation = await explain_event(reach.servers, subject)
    except UnreachableError:
        content, explanation = EventContent(), await explain_event(reach.servers, subject)
    details = explanation.result.events.get(subject)
    return explanation, with_stream(content, details) if details else content


def _is_known(details: EventDetails) -> bool:
    return bool(details.applied or details.in_stream or details.dead_letters or details.marker or details.findings)


def _not_found(request: web.Request, subject: Subject, explanation: Explanation) -> web.Response:
    problems = _problems(explanation)
    sentence = f"Nothing is known of the event {subject}."
    problem = " ".join([sentence, *problems]) if problems else sentence
    return render(request, "error.html", status=503 if problems else 404, problem=problem)


def _problems(explanation: Explanation) -> list[str]:
    result = explanation.result
    return [f"{problem}." for problem in (result.redis_problem, result.postgres_problem) if problem]


def _mask(is_masked: bool) -> Callable[[str], str]:
    return mask_text if is_masked else str
