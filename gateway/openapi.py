"""OpenAPI 3.1 of this installation, with every configured source and every answer, and the page that shows it."""

import json
from collections.abc import Mapping
from html import escape
from importlib import resources
from string import Template
from typing import Any

from aiohttp import web

from gateway.body import largest_body_bytes
from gateway.problem import JSON, PROBLEM_JSON, answer
from gateway.settings import Settings
from providers.base import Provider
from runtime.version import version

Json = dict[str, Any]

PAGE = Template(resources.files("gateway").joinpath("docs.html").read_text(encoding="utf-8"))
HTML = "text/html; charset=utf-8"
PAGE_HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}

TEXT: Json = {"type": "string"}

RETRY_AFTER: Json = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}

PREFERENCE_APPLIED: Json = {
    "Preference-Applied": {"description": "`wait=N`, with the N that was applied.", "schema": {"type": "string"}}
}

SCHEMAS: Json = {
    "Accepted": {
        "type": "object",
        "required": ["status", "event_id", "entry_id", "durability"],
        "properties": {
            "status": {"enum": ["accepted", "committed"]},
            "event_id": {"type": "string", "description": "The provider's id of the event."},
            "entry_id": {"type": "string", "description": "The id of its entry in the stream."},
            "durability": {"enum": ["fsync", "fsync+replica", "memory"]},
        },
    },
    "Duplicate": {
        "type": "object",
        "required": ["status", "event_id"],
        "properties": {"status": {"const": "duplicate"}, "event_id": {"type": "string"}},
    },
    "Several": {
        "type": "object",
        "description": "The answer to a request with several events, or without any.",
        "required": ["status", "events"],
        "properties": {
            "status": {"enum": ["accepted", "committed", "duplicate"]},
            "events": {
                "type": "array",
                "items": {
                    "anyOf": [{"$ref": "#/components/schemas/Accepted"}, {"$ref": "#/components/schemas/Duplicate"}]
                },
            },
        },
    },
    "Problem": {
        "type": "object",
        "description": "RFC 9457.",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
        },
    },
    "Readiness": {
        "type": "object",
        "required": ["ready", "reason"],
        "properties": {"ready": {"type": "boolean"}, "reason": {"type": ["string", "null"]}},
    },
}


class Documentation:
    """/openapi.json and /docs, rendered once."""

    def __init__(self, document: Json) -> None:
        self._json = json.dumps(document, indent=2).encode()
        self._html = _page(document).encode()

    async def openapi(self, _request: web.Request) -> web.Response:
        """Return the document."""
        return answer(200, self._json, JSON)

    async def docs(self, _request: web.Request) -> web.Response:
        """Return the document as a page for people, which loads nothing from other servers."""
        return answer(200, self._html, HTML, PAGE_HEADERS)


def describe(sources: Mapping[str, Provider], settings: Settings) -> Json:
    """Return the document for operators, with all sources."""
    paths: Json = {f"/webhooks/{name}": _source(each, settings, f"webhook_{name}") for name, each in sources.items()}
    if "default" in sources:
        paths["/webhook"] = _source(sources["default"], settings, "webhook")
    metrics = {"200": {"description": "Prometheus' text format.", "content": {"text/plain": {"schema": TEXT}}}}
    return _document(paths | _health() | {"/metrics": _operator("metrics", "What was counted", metrics)})


def describe_any_source(settings: Settings) -> Json:
    """Return the document for everybody, which names no source and no provider."""
    name = {"name": "source", "in": "path", "required": True, "schema": TEXT, "description": "The source's name."}
    post = _post(settings, "webhook", "Webhooks of a source", settings.body_bytes_max, _success() | _refusals("401"))
    post["parameters"] = [name, *post["parameters"]]
    return _document({"/webhooks/{source}": {"post": post}} | _health())


def _document(paths: Json) -> Json:
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Payment webhooks",
            "version": version(),
            "description": "An event that was answered 2xx is durable, and is applied exactly once.",
        },
        "paths": paths,
        "components": {"schemas": SCHEMAS},
    }


def _source(provider: Provider, settings: Settings, operation: str) -> Json:
    post = {"post": _webhook(provider, settings, operation)}
    return post | {"get": _challenge(provider, operation)} if provider.challenges else post


def _challenge(provider: Provider, operation: str) -> Json:
    return {
        "operationId": f"{operation}_challenge",
        "summary": f"The challenge of {provider.settings.source} (provider {provider.name})",
        "tags": ["webhooks"],
        "responses": {
            "200": {"description": "The proof that this endpoint knows the secret.", "content": {"text/plain": {}}},
            str(provider.unauthorized_status): _problem("This is not the challenge that the provider documents."),
        },
    }


def _webhook(provider: Provider, settings: Settings, operation: str) -> Json:
    source, body_bytes_max = provider.settings.source, largest_body_bytes(provider, settings)
    summary = f"Webhooks of {source} (provider {provider.name})"
    return _post(settings, operation, summary, body_bytes_max, _answers(provider))


def _post(settings: Settings, operation: str, summary: str, body_bytes_max: int, responses: Json) -> Json:
    return {
        "operationId": operation,
        "summary": summary,
        "tags": ["webhooks"],
        "parameters": [
            {
                "name": "Prefer",
                "in": "header",
                "required": False,
                "schema": {"type": "string", "examples": ["wait=5"]},
                "description": f"`wait=N` waits up to N s (at most {settings.prefer_wait_s_max:g}) for the commit; "
                "201 says that it was committed, 202 or 200 that no commit is known yet.",
            }
        ],
        "requestBody": {
            "required": True,
            "description": f"The bytes that the provider signed, at most {body_bytes_max}, not compressed.",
            "content": {"*/*": {"schema": {}}},
        },
        "responses": responses,
    }


def _answers(provider: Provider) -> Json:
    unauthorized = str(provider.unauthorized_status)
    insisted = provider.accepted
    if insisted is None:
        return _success() | _refusals(unauthorized)
    description = "Every event is durable. The provider insists on this answer."
    success = {str(insisted.status): {"description": description, "content": {insisted.content_type: {}}}}
    return success | _refusals(unauthorized)


def _success() -> Json:
    return {
        "202": _answer("A new event is durable in the stream.", _any_of("Accepted", "Several")),
        "200": _answer("This event is in the stream, or committed, already.", _any_of("Duplicate", "Several")),
        "201": _answer("`Prefer: wait=N`, and it was committed in time.", _any_of("Accepted", "Several"))
        | {"headers": PREFERENCE_APPLIED},
    }


def _refusals(unauthorized: str) -> Json:
    return {
        "400": _problem("The signature is valid, but the body is not as documented; or the HTTP is malformed."),
        unauthorized: _problem("The signature is missing, malformed, stale or wrong."),
        "405": _problem("Not POST.", {"Allow": {"schema": TEXT}}),
        "408": _problem("The body did not arrive in time."),
        "413": _problem("The body is too large."),
        "415": _problem("The body has a Content-Encoding.", {"Accept-Encoding": {"schema": TEXT}}),
        "429": _problem("The backlog limit is reached.", RETRY_AFTER),
        "431": _problem("The request line or a header is too long."),
        "503": _problem("Redis does not guarantee durability, or too much is unfinished.", RETRY_AFTER),
    }


def _health() -> Json:
    readiness = _any_of("Readiness")
    return {
        "/healthz": _operator("healthz", "The process lives", {"200": _answer("It does.", {"type": "object"})}),
        "/readyz": _operator(
            "readyz",
            "It can accept events durably now",
            {"200": _answer("It can.", readiness), "503": _answer("It cannot; the reason.", readiness)},
        ),
    }


def _operator(operation: str, summary: str, responses: Json) -> Json:
    return {"get": {"operationId": operation, "summary": summary, "tags": ["operators"], "responses": responses}}


def _answer(description: str, schema: Json) -> Json:
    return {"description": description, "content": {JSON: {"schema": schema}}}


def _problem(description: str, headers: Json | None = None) -> Json:
    content = {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {"description": description, "content": content} | ({"headers": headers} if headers else {})


def _any_of(*names: str) -> Json:
    references = [{"$ref": f"#/components/schemas/{name}"} for name in names]
    return references[0] if len(references) == 1 else {"anyOf": references}


def _page(document: Json) -> str:
    operations = [
        _operation(method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    schemas = [
        f'<h3 id="{escape(name)}">{escape(name)}</h3><pre>{escape(json.dumps(schema, indent=2))}</pre>'
        for name, schema in document["components"]["schemas"].items()
    ]
    info = {key: escape(value) for key, value in document["info"].items()}
    return PAGE.substitute(info, operations="\n".join(operations), schemas="\n".join(schemas))


def _operation(method: str, path: str, operation: Json) -> str:
    rows = "\n".join(_row(status, answer) for status, answer in operation["responses"].items())
    body = operation.get("requestBody")
    notes = [each["description"] for each in operation.get("parameters", [])] + ([body["description"]] if body else [])
    listed = "".join(f"<li>{_text(note)}</li>" for note in notes)
    return (
        f'<section><h2><span class="{method}">{method.upper()}</span> <code>{escape(path)}</code></h2>'
        f"<p>{_text(operation['summary'])}</p>{f'<ul>{listed}</ul>' if listed else ''}"
        f"<table><tr><th>Answer</th><th>When</th><th>Body</th></tr>{rows}</table></section>"
    )


def _row(status: str, answer: Json) -> str:
    bodies = ", ".join(escape(kind) for kind in answer.get("content", {}))
    headers = "".join(f" + <code>{escape(name)}</code>" for name in answer.get("headers", {}))
    return (
        f'<tr><td class="s{status[0]}">{escape(status)}{headers}</td>'
        f"<td>{_text(answer['description'])}</td><td><code>{bodies}</code></td></tr>"
    )


def _text(text: str) -> str:
    """Return the text escaped, with `code` between backticks."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts))
