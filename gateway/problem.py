"""Errors as RFC 9457 problem details: one shape for all of them, safe for strangers to read."""

import json

from gateway.response import Response, phrase

PROBLEM_JSON = "application/problem+json"


def problem(status: int, detail: str, *, headers: str = "", close: bool = False) -> Response:
    """`detail` is a sentence for the developer at the provider; `headers` as in Response."""
    title = phrase(status)
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return Response(status, json.dumps(body).encode(), PROBLEM_JSON, headers=headers, close=close)


def retry_later(status: int, detail: str, retry_after_s: int) -> Response:
    """429 or 503: nothing is wrong with the request."""
    return problem(status, detail, headers=f"Retry-After: {retry_after_s}\r\n")
