"""A recorded HTTP request in a file, byte for byte, with notes on visible damage."""

import re
from dataclasses import dataclass
from datetime import datetime

from providers.base import Headers, Request

RECORDING_BYTES_MAX = 64 * 1024 * 1024
"""The largest recording that is read."""

HEAD_BYTES_MAX = 262_144
"""The largest part before the empty line."""

_REQUEST_LINE = re.compile(rb"(?P<method>[A-Z]{1,20}) (?P<target>\S{1,8192})(?: HTTP/[0-9.]+)?")
_HEADER = re.compile(rb"(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(?P<value>.*?)[ \t]*")


class RecordingError(Exception):
    """The file holds no HTTP request. The text is for the person who recorded it."""


@dataclass(frozen=True, slots=True)
class Recording:
    """The request, its headers as a list, and notes made while reading it."""

    request: Request
    raw_headers: list[tuple[bytes, bytes]]
    notes: list[str]


def read_recording(data: bytes, received_at: datetime) -> Recording:
    """Parse a file: lines end in LF or CR LF up to an empty line, then the body. Raise RecordingError."""
    end = re.search(rb"\r?\n\r?\n", data[:HEAD_BYTES_MAX])
    if end is None:
        raise RecordingError("there is no empty line between the headers and the body")
    first, *lines = re.split(rb"\r?\n", data[: end.start()])
    match = _REQUEST_LINE.fullmatch(first)
    if match is None:
        raise RecordingError('the first line is not like "POST /webhooks/stripe HTTP/1.1"')
    raw_headers = [_header(number, line) for number, line in enumerate(lines, start=2)]
    headers = Headers(raw_headers)
    body, notes = _body(data[end.end() :], headers)
    target = match["target"].decode("utf-8", "surrogateescape")
    return Recording(Request(match["method"].decode(), target, headers, body, received_at), raw_headers, notes)


def _header(number: int, line: bytes) -> tuple[bytes, bytes]:
    match = _HEADER.fullmatch(line)
    if match is None:
        raise RecordingError(f'line {number} is not like "Name: value"')
    return match["name"], match["value"]


def _body(body: bytes, headers: Headers) -> tuple[bytes, list[str]]:
    notes = []
    if any(value.strip().lower() == b"chunked" for value in headers.get_all("transfer-encoding")):
        joined = join_chunks(body)
        if joined is not None:
            body = joined
            notes.append("The recording has the body in chunks; they are joined, as any HTTP server does.")
    sent = headers.first("content-length") or b""
    if sent.isdigit() and len(sent) < 12 and int(sent) != len(body):
        surplus = body[int(sent) :]
        if surplus and not surplus.strip(b"\r\n"):
            body = body[: int(sent)]
            notes.append("The recording has a line end behind the body that Content-Length does not count; left off.")
        else:
            notes.append(f"Content-Length says {int(sent)} bytes, but the recording has {len(body)} of body.")
    if any(value.strip().lower() not in (b"", b"identity") for value in headers.get_all("content-encoding")):
        notes.append(
            "The request has a Content-Encoding, which the gateway answers 415: let it be sent as it is signed."
        )
    if b"\xef\xbf\xbd" in body:
        notes.append(
            "The body has replacement characters (U+FFFD): bytes were lost when it was decoded with the wrong charset."
        )
    return body, notes


def join_chunks(data: bytes) -> bytes | None:
    """Return the content of a chunked body; None if it is not chunked."""
    joined, start = b"", 0
    while match := re.compile(rb"([0-9A-Fa-f]{1,8})(?:;[^\r\n]*)?\r?\n").match(data, start):
        size = int(match[1], 16)
        if not size:
            return joined
        joined += data[match.end() : match.end() + size]
        after = re.compile(rb"\r?\n").match(data, match.end() + size)
        if after is None:
            return None
        start = after.end()
    return None
