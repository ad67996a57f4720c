"""One client's bytes, from which its requests are taken one by one."""

from gateway.framing import (
    HEADERS_END,
    LINE_END,
    BodyTooLargeError,
    ChunkedBody,
    Framing,
    HeadersTooLongError,
    check_lines,
    decoded,
    origin_form,
    read_framing,
)
from gateway.settings import Settings


class RequestReader:
    """Collects what has arrived and was not handed over. It keeps a request's bytes once, whatever their pieces."""

    __slots__ = ("_body_bytes_max", "_buffer", "_checked", "_chunks", "_framing", "_head", "_settings")

    def __init__(self, settings: Settings, body_bytes_max: int) -> None:
        self._settings = settings
        self._body_bytes_max = body_bytes_max
        self._buffer = bytearray()
        self._checked = 0
        """Where the first line starts that is not checked, because its end has not arrived."""
        self._head = b""
        """The headers of a request whose body is still arriving."""
        self._framing: Framing | None = None
        self._chunks: ChunkedBody | None = None

    def __bool__(self) -> bool:
        """Return whether anything is kept."""
        return bool(self._buffer or self._head)

    @property
    def held_bytes(self) -> int:
        """How much is kept."""
        return len(self._buffer) + len(self._head) + (len(self._chunks.content) if self._chunks else 0)

    @property
    def is_in_body(self) -> bool:
        """Whether the headers of a request are complete, and its body is not."""
        return self._framing is not None

    @property
    def expects_continue(self) -> bool:
        """Whether the client waits for `100 Continue` before it sends the body."""
        return self._framing is not None and self._framing.expects_continue

    def add(self, data: bytes) -> None:
        """Keep what has arrived."""
        self._buffer += data

    def clear(self) -> None:
        """Forget everything."""
        self._buffer = bytearray()
        self._checked = 0
        self._head, self._framing, self._chunks = b"", None, None

    def next(self) -> bytes | None:
        """Take the next request, None where it is not whole yet.

        Raise FramingError: nothing that follows can be read.
        """
        if self._framing is None:
            self._take_headers()
        return None if self._framing is None else self._take_body(self._framing)

    def _take_headers(self) -> None:
        buffer = self._buffer
        if not self._checked and buffer.startswith((b"\r", b"\n")):
            del buffer[: len(buffer) - len(buffer.lstrip(LINE_END))]  # blank lines before a request mean nothing
        if not buffer:
            return
        settings = self._settings
        headers_bytes_max = settings.headers_bytes_max
        end = buffer.find(HEADERS_END, max(0, self._checked - len(LINE_END)), headers_bytes_max + len(HEADERS_END))
        head_bytes = end + len(LINE_END) if end >= 0 else len(buffer)
        head = buffer[: min(head_bytes, headers_bytes_max + 1)]
        self._checked = check_lines(head, self._checked, settings.header_line_bytes_max, settings.headers_max)
        unfinished_end = 0 if end >= 0 else 1  # the last byte may belong to the blank line
        if head_bytes > headers_bytes_max + unfinished_end:
            raise HeadersTooLongError
        if end >= 0:
            self._framing = read_framing(bytes(head))
            self._head = origin_form(bytes(head))
            self._checked = 0
            del buffer[: end + len(HEADERS_END)]

    def _take_body(self, framing: Framing) -> bytes | None:
        buffer = self._buffer
        if framing.body_bytes is None:
            if self._chunks is None:
                self._chunks = ChunkedBody(self._body_bytes_max)
            if not self._chunks.decode(buffer):
                return None
            request = decoded(self._head, framing, self._chunks.content)
        else:
            if framing.body_bytes > self._body_bytes_max:
                raise BodyTooLargeError(self._body_bytes_max)
            if len(buffer) < framing.body_bytes:
                return None
            request = b"".join((self._head, LINE_END, buffer[: framing.body_bytes]))
            del buffer[: framing.body_bytes]
        self._head, self._framing, self._chunks = b"", None, None
        return request
