"""Answers: JSON, and errors as RFC 9457 problem details, safe for strangers to read."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import web
from multidict import CIMultiDict
from pydantic_core import to_json

JSON = "application/json"
PROBLEM_JSON = "application/problem+json"

SERVER = "payment-webhooks"
"""The Server header, without the versions that aiohttp's own shows to strangers."""

JSON_HEADERS = CIMultiDict({"Content-Type": JSON, "Server": SERVER})

_PHRASES = {status.value: status.phrase for status in HTTPStatus}


def phrase(status: int) -> str:
    """Return the status in words; a few providers insist on one that is in no list, such as 498."""
    return _PHRASES.get(status, "Refused")


def answer(
    status: int, body: bytes, content_type: str, headers: Mapping[str, str] | None = None
) -> web.Response:  # fmt: skip
    """Return a response with any body."""
    all_headers = {"Content-Type": content_type, "Server": SERVER, **(headers or {})}
    return web.Response(status=status, reason=phrase(status), body=body, headers=all_headers)


def json_answer(status: int, value: Mapping[str, Any]) -> web.Response:
    """Return a response with a JSON object."""
    return web.Response(status=status, body=to_json(value), headers=JSON_HEADERS)


def problem_details(status: int, detail: str) -> dict[str, Any]:
    """Return the members of problem details. `detail` is a sentence for the developer at the provider."""
    return {"type": "about:blank", "title": phrase(status), "status": status, "detail": detail}


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return a response with problem details."""
    return answer(status, to_json(problem_details(status, detail)), PROBLEM_JSON, headers)


def retry_later(status: int, detail: str, retry_after_s: int) -> web.Response:
    """Return 429 or 503: nothing is wrong with the request."""
    return problem(status, detail, {"Retry-After": str(retry_after_s)})


def last_answer(status: int, detail: str, retry_after_s: int) -> bytes:
    """Return the bytes of an answer that ends its connection, for requests that aiohttp does not see."""
    details = problem_details(status, detail)
    body = to_json(details)
    headers = {503: f"Retry-After: {retry_after_s}\r\n", 405: "Allow: GET, HEAD, POST\r\n"}.get(status, "")
    return (
        f"HTTP/1.1 {status} {details['title']}\r\nContent-Type: {PROBLEM_JSON}\r\nServer: {SERVER}\r\n"
        f"Content-Length: {len(body)}\r\n{headers}Connection: close\r\n\r\n"
    ).encode() + body
