"""Where a request ends (RFC 9112, sections 2, 6 and 7): pure functions over bytes, for `Connection`.

aiohttp parses each request. This finds its end only, so that aiohttp is given one whole request at a time and no answer
depends on how the bytes were cut. Each error is raised for the first byte that is wrong, wherever the bytes were cut.
"""

import re
from dataclasses import dataclass

HEADERS_END = b"\r\n\r\n"
LINE_END = b"\r\n"

CHUNKS_MAX = 512
"""Chunks of one body, and one more for each of the next: a chunk costs time, however small it is."""

CHUNK_BYTES_MEAN = 128
"""The bytes in a chunk, on average, beyond that number. Usual ones have 4 KiB or more."""

CHUNK_LINE_BYTES_MAX = 256
"""The line with a chunk's size, and each line of the trailer."""

TRAILER_LINES_MAX = 32

LENGTH_DIGITS_MAX = 15

_USUAL_VERSION = b" HTTP/1.1\r\n"

_FRAMING_HEADER = re.compile(
    rb"\r\n(?:(content-length)|(transfer-encoding)|(expect)):([^\r\n]*)(?=\r\n)", re.IGNORECASE
)  # spaces around the value are not for the expression: it would try each of them against each other
_ABSOLUTE_TARGET = re.compile(rb"\A([A-Z-]{1,32} +)[a-z][a-z0-9+.-]*://[^/?#\s]*/?", re.IGNORECASE)
_LENGTH = re.compile(rb"[0-9]{1,%d}" % LENGTH_DIGITS_MAX)
_REQUEST_LINE = re.compile(rb"[A-Z-]{1,32} +[^\s\x00-\x1f]+ +HTTP/1\.[01]")
_REQUEST_LINE_BEGIN = re.compile(
    rb"[A-Z-]{1,32}(?: +(?:[^\s\x00-\x1f]+(?: +(?:H(?:T(?:T(?:P(?:/(?:1(?:\.(?:[01]\r?)?)?)?)?)?)?)?)?)?)?)?"
)
_FIELD_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[\t\x20-\x7e]*)?")
_CHUNK_LINE_BEGIN = re.compile(rb"(?:[0-9A-Fa-f]{1,15}(?:;[\t\x20-\x7e]*)?\r?)?")


class FramingError(Exception):
    """The end of a request cannot be found, or need not be. `reason` is for the metric, `detail` for the sender."""

    status = 400
    reason = "malformed_http"
    detail = "This is not well-formed HTTP/1.1."


class MalformedError(FramingError):
    """The bytes are no well-formed HTTP/1.1."""


class HeadersTooLongError(FramingError):
    """The request line, a header, or all of them are longer than their limits; or there are too many."""

    status = 431
    detail = "The request line or the headers are too long, or too many."


class TunnelError(FramingError):
    """The client asks for a tunnel (CONNECT), which nobody answers and aiohttp has no route for."""

    status = 405
    detail = "Only GET, HEAD and POST are answered here."


class BodyTooLargeError(FramingError):
    """The body is larger than its limit."""

    status = 413
    reason = "too_large"

    def __init__(self, body_bytes_max: int) -> None:
        super().__init__()
        self.detail = f"The body is larger than {body_bytes_max} bytes."


@dataclass(slots=True)
class Framing:
    """What a request's headers say about its end."""

    body_bytes: int | None
    """The body's length; None where it comes in chunks."""

    expects_continue: bool
    """Whether the client waits for `100 Continue` before it sends the body."""

    transfer_encoding: tuple[int, int]
    """From where to where the line with Transfer-Encoding reaches, with the line end before it."""


def is_whole_post(data: bytes, headers_bytes_max: int, headers_max: int, body_bytes_max: int) -> bool:
    """Return whether this is exactly one POST, within the limits and framed as usual. What else it is, aiohttp checks.

    aiohttp refuses a second Content-Length in other letters. It takes other versions, and a Transfer-Encoding without a
    value, which `check_lines` and `read_framing` refuse: they are not usual.
    """
    end = data.find(HEADERS_END, 0, headers_bytes_max)
    if end < 0 or not data.startswith(b"POST /"):
        return False
    if not data.startswith(_USUAL_VERSION, data.find(LINE_END) - len(_USUAL_VERSION) + len(LINE_END)):
        return False
    body_bytes = len(data) - end - len(HEADERS_END)
    line = b"\r\nContent-Length: %d\r\n" % body_bytes
    if body_bytes > body_bytes_max or data.find(line, 0, end + len(LINE_END)) < 0:
        return False
    return data.count(LINE_END, 0, end) <= headers_max and data[:end].lower().find(b"\r\ntransfer-encoding") < 0


def check_lines(head: bytes | bytearray, start: int, line_bytes_max: int, headers_max: int) -> int:
    """Check headers from the line at `start` on; return where the last line starts, which need not be complete.

    Raise MalformedError where no later byte can mend them, HeadersTooLongError where a line is too long, or one too
    many begins: each line costs about half a microsecond, however short it is.
    """
    number = head.count(LINE_END, 0, start)
    while True:
        if number > headers_max and not head.startswith(b"\r", start) and start < len(head):
            raise HeadersTooLongError
        end = head.find(LINE_END, start)
        is_complete = end >= 0
        if not is_complete:
            end = len(head)
        is_too_long = end - start > line_bytes_max
        stop = min(end, start + line_bytes_max)
        if start:
            is_line = is_field(head, start, stop) if is_complete and not is_too_long else is_begun(head, start, stop)
        else:
            pattern = _REQUEST_LINE if is_complete and not is_too_long else _REQUEST_LINE_BEGIN
            is_line = pattern.fullmatch(head, start, stop) is not None
        if not is_line:
            raise MalformedError
        if is_too_long:
            raise HeadersTooLongError
        if not is_complete:
            return start
        start = end + len(LINE_END)
        number += 1


def is_field(raw: bytes | bytearray, start: int, end: int) -> bool:
    """Return whether this is a header, without its line end."""
    name = _FIELD_NAME.match(raw, start, end)
    return name is not None and _is_text(raw, name.end(), end)


def is_begun(raw: bytes | bytearray, start: int, end: int) -> bool:
    """Return whether a header can begin like this. Its end may be the first half of a line end."""
    return _is_text(raw, start, end - 1 if raw.endswith(b"\r", start, end) else end)


def _is_text(raw: bytes | bytearray, start: int, end: int) -> bool:
    """Return whether no byte is one that headers may not have. To seek each costs a tenth of a regular expression."""
    return raw.find(b"\r", start, end) < 0 and raw.find(b"\n", start, end) < 0 and raw.find(b"\0", start, end) < 0


def origin_form(head: bytes) -> bytes:
    """Return headers whose target is a path or `*`: the scheme and the host of an absolute address are left out.

    A server has to accept them (RFC 9112, section 3.2.2), nothing here depends on them, and some hosts end the task in
    which aiohttp reads the connection, so that no answer would come. Raise MalformedError for any other target.
    """
    path_first = _ABSOLUTE_TARGET.sub(rb"\1/", head, count=1)
    if path_first.split(maxsplit=2)[1][:1] not in (b"/", b"*"):
        raise MalformedError
    return path_first


def read_framing(head: bytes) -> Framing:
    """Return the framing that complete headers declare; `head` ends with a line's end.

    Raise MalformedError or TunnelError.
    """
    if head.startswith(b"CONNECT "):
        raise TunnelError
    framing = Framing(0, expects_continue=False, transfer_encoding=(0, 0))
    declared = 0
    for match in _FRAMING_HEADER.finditer(head):
        is_length, is_encoding, _, value = match.groups()
        value = value.strip(b" \t")
        if is_length:
            declared += 1
            if not _LENGTH.fullmatch(value):
                raise MalformedError
            framing.body_bytes = int(value)
        elif is_encoding:
            declared += 1
            if value.lower() != b"chunked":
                raise MalformedError
            framing.body_bytes = None
            framing.transfer_encoding = match.span()
        elif value.lower() == b"100-continue":
            framing.expects_continue = b" HTTP/1.1\r\n" in head
    if declared > 1:
        raise MalformedError
    return framing


def decoded(head: bytes, framing: Framing, body: bytearray) -> bytes:
    """Return a chunked request as one with a Content-Length, as RFC 9112 decodes it (section 7.1.3)."""
    start, end = framing.transfer_encoding
    length = b"\r\nContent-Length: %d" % len(body)
    return b"".join((head[:start], length, head[end:], LINE_END, body))


class ChunkedBody:
    """Decodes a body that comes in chunks (RFC 9112, section 7.1). Extensions and trailer are checked and dropped."""

    __slots__ = (
        "_chunks",
        "_content_bytes_max",
        "_is_in_chunk",
        "_is_in_trailer",
        "_left",
        "_trailer_lines",
        "content",
    )

    def __init__(self, content_bytes_max: int) -> None:
        self.content = bytearray()
        """What was decoded so far."""
        self._content_bytes_max = content_bytes_max
        self._chunks = 0
        self._trailer_lines = 0
        self._is_in_chunk = False
        self._is_in_trailer = False
        self._left = 0
        """The bytes of data that the chunk still needs."""

    def decode(self, raw: bytearray) -> bool:
        """Take what can be decoded from the front of `raw`; return whether the body ends there.

        Raise MalformedError or BodyTooLargeError.
        """
        position = 0
        is_complete = False
        while not is_complete:
            if self._is_in_chunk:
                position = self._take_data(raw, position)
                if self._is_in_chunk:
                    break
            end = raw.find(LINE_END, position, position + CHUNK_LINE_BYTES_MAX + len(LINE_END))
            if end < 0:
                self._check_unfinished_line(raw[position : position + CHUNK_LINE_BYTES_MAX + 1])
                break
            is_complete = self._take_line(raw, position, end)
            position = end + len(LINE_END)
        del raw[:position]
        return is_complete

    def _take_data(self, raw: bytearray, position: int) -> int:
        """Take the chunk's data and its line end, as far as they are there; return the position after them."""
        data = raw[position : position + self._left]
        self.content += data
        self._left -= len(data)
        position += len(data)
        if self._left:
            return position
        line_end = raw[position : position + len(LINE_END)]
        if not LINE_END.startswith(line_end):
            raise MalformedError
        if len(line_end) < len(LINE_END):
            return position
        self._is_in_chunk = False
        return position + len(LINE_END)

    def _take_line(self, raw: bytearray, start: int, end: int) -> bool:
        """Take a chunk's size, or a line of the trailer; return whether it was the last line."""
        if self._is_in_trailer:
            self._trailer_lines += 1
            if start < end and (self._trailer_lines > TRAILER_LINES_MAX or not is_field(raw, start, end)):
                raise MalformedError
            return start == end
        self._chunks += 1
        match = _CHUNK_LINE.fullmatch(raw, start, end)
        if match is None:
            raise MalformedError
        self._left = int(match[1], 16)
        size_bytes = len(self.content) + self._left
        if size_bytes > self._content_bytes_max or self._chunks > CHUNKS_MAX + size_bytes // CHUNK_BYTES_MEAN:
            raise BodyTooLargeError(self._content_bytes_max)
        self._is_in_trailer = self._left == 0
        self._is_in_chunk = not self._is_in_trailer
        return False

    def _check_unfinished_line(self, line: bytes | bytearray) -> None:
        if len(line) > CHUNK_LINE_BYTES_MAX:
            raise MalformedError
        if not (is_begun(line, 0, len(line)) if self._is_in_trailer else _CHUNK_LINE_BEGIN.fullmatch(line)):
            raise MalformedError
