"""What a stranger may send who cannot sign: bodies, headers and addresses that cost the receiver as much as they can.

Each is refused, whatever the provider. What matters is what it costs until then.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from providers.base import Headers, Request
from tests.support.cases.base import NOW, Case

HEADER_BYTES = 8000
"""The longest header that the gateway accepts by default has 8190."""

HEADERS = 120
"""It accepts 128 by default."""

MIB = 1024 * 1024


def _filled(begin: bytes, unit: bytes, end: bytes, size: int) -> bytes:
    return begin + unit * max(1, (size - len(begin) - len(end)) // len(unit)) + end


def _around(begin: bytes, end: bytes, inner: bytes, size: int) -> bytes:
    depth = (size - len(inner)) // (len(begin) + len(end))
    return begin * depth + inner + end * depth


BATCH = b'{"live":"true","notificationItems":['
NAMED = b'{"NotificationRequestItem":'
ITEM = b'{"pspReference":"1","eventCode":"A","success":"true"'
"""One that is not closed yet."""

BODIES: dict[str, Callable[[int], bytes]] = {
    "empty items": lambda size: _filled(BATCH, b"{},", b"{}]}", size),
    "items of numbers": lambda size: _filled(BATCH, b"1,", b"1]}", size),
    "items that look genuine": lambda size: _filled(
        BATCH,
        NAMED + b'{"pspReference":"1","eventCode":"A","success":"true","additionalData":{"hmacSignature":"x"}}},',
        b"{}]}",
        size,
    ),
    "named items": lambda size: _filled(BATCH, NAMED + b"{}},", b"{}]}", size),
    "repeated lists of items": lambda size: _filled(b"{", b'"notificationItems":[{},{},{}],', b'"live":"true"}', size),
    "repeated lists that look genuine": lambda size: _filled(
        b"{",
        b'"notificationItems":[' + NAMED + b'{"pspReference":"1","eventCode":"A","success":"true"}}],',
        b'"live":"true"}',
        size,
    ),
    "repeated names": lambda size: _filled(b"{", b'"a":1,', b'"a":1}', size),
    "short lists": lambda size: _filled(BATCH, b"[" * 99 + b"]" * 99 + b",", b"1]}", size),
    "short objects in an item": lambda size: _filled(
        BATCH + NAMED + b'{"additionalData":[', b'{"":' * 90 + b"1" + b"}" * 90 + b",", b"1]}}]}", size
    ),
    "nested lists": lambda size: _around(b"[", b"]", b"", size),
    "nested objects": lambda size: _around(b'{"a":', b"}", b"1", size),
    "lists that are not closed": lambda size: BATCH + b"[" * size,
    "a long text": lambda size: _filled(b'{"a":"', b"x", b'"}', size),
    "escapes": lambda size: _filled(b'{"a":"', b"\\u0041", b'"}', size),
    "escaped quotes": lambda size: _filled(b'{"a":"', b'\\"', b'"}', size),
    "emoji": lambda size: _filled(b'{"a":"', b"\\ud83d\\ude00", b'"}', size),
    "lone surrogates": lambda size: _filled(b'{"a":"', b"\\ud83d", b'"}', size),
    "a long number": lambda size: _filled(b'{"a":', b"1", b"}", size),
    "a long amount": lambda size: _filled(BATCH + NAMED + ITEM + b',"amount":{"value":', b"9", b"}}}]}", size),
    "repeated amounts": lambda size: _filled(
        BATCH + NAMED + ITEM, b',"amount":{"value":1,"currency":"E"}', b"}}]}", size
    ),
    "items with escaped names": lambda size: _filled(
        BATCH, b'{"NotificationRequest\\u0049tem":' + ITEM + b"}},", b"{}]}", size
    ),
    "escaped backslashes": lambda size: _filled(BATCH + NAMED + ITEM + b',"reason":"\\ud800', b"\\\\", b'"}}]}', size),
    "a lone surrogate": lambda size: _filled(BATCH, NAMED + ITEM + b"}},", b'"\\ud800"]}', size),
    "white space": lambda size: _filled(b'{"a":', b" ", b"1}", size),
    "a long name": lambda size: _filled(b'{"', b"a", b'":1}', size),
    "form fields": lambda size: _filled(b"", b"a=1&", b"bt_signature=x&bt_payload=x", size),
    "an escaped form": lambda size: _filled(b"bt_signature=public_key_0%7Cx&bt_payload=", b"%41", b"", size),
    "broken escapes": lambda size: _filled(b"bt_signature=public_key_0%7Cx&bt_payload=", b"%", b"", size),
    "equals signs": lambda size: _filled(b"bt_signature=public_key_0%7Cx&bt_payload=", b"=", b"", size),
    "plus signs": lambda size: _filled(b"bt_signature=public_key_0%7Cx&bt_payload=", b"+", b"", size),
    "form signatures": lambda size: _filled(b"bt_payload=x&bt_signature=", b"public_key_0%7Cx%26", b"", size),
}
"""Bodies by name; each takes the number of its bytes."""

UNITS = (b",", b"v1=,", b"v1=a,", b" ,", b"v1,a ", b"v1a,a ", b"h1=a;", b"ts=1,", b"%41", b"x", b" ", b"\xff")
"""What a header, or a query, is filled with."""


@dataclass(frozen=True, slots=True)
class Hostile:
    """A request that nobody signed, and what is odd about it."""

    what: str
    request: Request


def hostile_requests(case: Case, sizes: tuple[int, ...]) -> list[Hostile]:
    """Return requests to a source of this case: genuine ones with another body, header or address."""
    genuine = case.signed()
    request = genuine.request()
    raw_headers, _ = genuine.sent()
    made = [
        Hostile(f"{name}, {size:,} bytes", replace(request, body=make(size)))
        for size in sizes
        for name, make in BODIES.items()
    ]
    for name, value in raw_headers:
        others = [each for each in raw_headers if each[0] != name]
        many = [(name, value[:-1] + b"%c" % (33 + number % 90)) for number in range(HEADERS)]
        made.append(Hostile(f"{HEADERS} times {name.decode()}", _with(request, [*others, *many])))
        spaces = [(name, value + b" " * HEADER_BYTES)] * 4
        made.append(Hostile(f"4 times {name.decode()} with {HEADER_BYTES} spaces", _with(request, [*others, *spaces])))
        for unit in UNITS:
            filled = [*others, (name, value + unit * (HEADER_BYTES // len(unit)))]
            made.append(Hostile(f"{name.decode()} with {unit!r}", _with(request, filled)))
    for text in ("&a=1", "%41", "&data%2Eid=1", "+", "%"):
        target = f"{request.target.partition('?')[0]}?data.id=" + text * (HEADER_BYTES // len(text))
        made.append(Hostile(f"a query of {text!r}", replace(request, target=target, body=request.body + b" ")))
    return made


def _with(request: Request, headers: list[tuple[bytes, bytes]]) -> Request:
    body = request.body if request.body.startswith(b"bt_") else request.body + b" "
    return Request("POST", request.target, Headers(headers), body, NOW)
