"""Changes that commonly happen to a signed request on its way, each undone to see whether it then verifies."""

import base64
import binascii
import contextlib
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator
from itertools import product
from typing import NamedTuple
from urllib.parse import quote_from_bytes, unquote_to_bytes, urlsplit, urlunsplit

from pydantic import ValidationError

from gateway.check.http_file import join_chunks
from providers.base import Headers, Provider, Request, SourceSettings
from providers.secret import Secret

UNZIPPED_BYTES_MAX = 16 * 1024 * 1024
"""The most that a compressed body may hold."""

BOM = b"\xef\xbb\xbf"

RawHeaders = list[tuple[bytes, bytes]]

_NUMBER = re.compile('"(?:\ue000|\\\\ue000)([^"\\\\\ue000]+)(?:\ue000|\\\\ue000)"')


class Hypothesis(NamedTuple):
    """A condition under which the request may verify, worded to follow "it verifies if", and its meaning."""

    condition: str
    meaning: str


def body_variants(body: bytes) -> Iterator[tuple[Hypothesis, bytes]]:
    """Yield the body as it may have been sent, the likeliest first, without repeats."""
    seen = {body}
    for condition, meaning, changed in _changed(body):
        for end, its_condition in _ENDS:
            each = changed.rstrip(b"\r\n") + end if its_condition else changed
            if each not in seen:
                seen.add(each)
                conditions = [text for text in (condition, its_condition) if text]
                yield Hypothesis("the body " + " and ".join(conditions), meaning), each


_ENDS = (
    (b"", ""),
    (b"", "ends without a line end"),
    (b"\n", "ends with a line feed"),
    (b"\r\n", "ends with CR LF"),
)


def _changed(body: bytes) -> Iterator[tuple[str, str, bytes]]:
    edited = "something on the way, or the recording, added or took away what cannot be seen"
    yield "", edited, body
    yield "has no white space at its ends", edited, body.strip()
    yield "has no byte order mark", edited, body.removeprefix(BOM)
    yield "begins with a byte order mark", edited, BOM + body
    lines = "line ends were rewritten, as text editors and some proxies do"
    yield "has LF for its CR LF", lines, body.replace(b"\r\n", b"\n")
    yield "has CR LF for its LF", lines, re.sub(b"\r?\n", b"\r\n", body)
    yield from _charsets(body)
    yield from _wrappings(body)
    yield from _json_forms(body)


def _charsets(body: bytes) -> Iterator[tuple[str, str, bytes]]:
    meaning = "it was read as text in one charset and written in another"
    for charset in ("latin-1", "cp1252"):
        for wrong, right, condition in (
            ("utf-8", charset, f"is read as UTF-8 and written as {charset}"),
            (charset, "utf-8", f"is read as {charset} and written as UTF-8"),
        ):
            try:
                yield condition, meaning, body.decode(wrong).encode(right)
            except UnicodeError:
                continue


def _wrappings(body: bytes) -> Iterator[tuple[str, str, bytes]]:
    joined = join_chunks(body)
    if joined is not None:
        yield "has its chunks joined", "it was recorded with the framing of HTTP", joined
    with contextlib.suppress(binascii.Error, ValueError):
        yield "is decoded from base64", "something on the way encoded it", base64.b64decode(body, validate=True)
    with (
        contextlib.suppress(OSError, EOFError, ValueError, zlib.error),
        gzip.GzipFile(fileobj=io.BytesIO(body)) as file,
    ):
        yield "is unzipped", "it was compressed on the way", file.read(UNZIPPED_BYTES_MAX)
    if b"%" in body:
        meaning = "it was encoded for a form or a URL on the way"
        yield "is decoded from percent-encoding", meaning, unquote_to_bytes(body.replace(b"+", b" "))
    yield "is percent-encoded", "it was decoded from a form on the way", quote_from_bytes(body, safe="=&").encode()


def _json_forms(body: bytes) -> Iterator[tuple[str, str, bytes]]:
    """Yield the same JSON as common libraries write it. Numbers keep their digits."""
    try:
        value = json.loads(body, parse_float=_marked, parse_int=_marked)
    except (ValueError, RecursionError):
        return
    if isinstance(value, str) and not value.startswith("\ue000"):
        yield "is taken out of the JSON text it is in", "it was encoded once more", value.encode(errors="replace")
        return
    meaning = "it was parsed and written again: pass the bytes on as they came"
    for (layout, indent, separators), by_name, ascii_only in product(_LAYOUTS, _EITHER, _EITHER):
        written = json.dumps(value, indent=indent, separators=separators, sort_keys=by_name, ensure_ascii=ascii_only)
        text = _NUMBER.sub(r"\1", written)
        condition = f"is JSON written {layout}" + (", names sorted" if by_name else "")
        condition += ", letters beyond ASCII as \\u" if ascii_only else ""
        yield condition, meaning, text.encode(errors="replace")
        yield f"{condition}, / as \\/", meaning, text.replace("/", "\\/").encode(errors="replace")


_EITHER = (False, True)
_LAYOUTS: tuple[tuple[str, int | str | None, tuple[str, str]], ...] = (
    ("without spaces", None, (",", ":")),
    ("with spaces after commas and colons", None, (", ", ": ")),
    ("indented by 2", 2, (",", ": ")),
    ("indented by 4", 4, (",", ": ")),
    ("indented by tabs", "\t", (",", ": ")),
)


def _marked(number: str) -> str:
    return f"\ue000{number}\ue000"


def header_variants(raw: RawHeaders) -> Iterator[tuple[Hypothesis, Headers]]:
    """Yield the headers as they may have been sent."""
    joined = [(name, part.strip()) for name, value in raw for part in value.split(b",")]
    yield Hypothesis("headers that were joined by commas are apart", "a proxy joined repeated headers"), Headers(joined)
    bare = [(name, value.strip(b" \t\"'")) for name, value in raw]
    yield Hypothesis("header values have no quotes around them", "they were quoted on the way"), Headers(bare)
    dashes = [(re.sub(b"(?i)^http_", b"", name).replace(b"_", b"-"), value) for name, value in raw]
    yield Hypothesis("_ in names of headers is -", "something on the way renamed them"), Headers(dashes)
    lower = [(name, value.lower()) for name, value in raw]
    yield Hypothesis("header values are in lower case", "their letters were changed on the way"), Headers(lower)


def secret_variants(provider: Provider) -> Iterator[tuple[Hypothesis, Provider]]:
    """Yield the source with its secrets as they may have been meant."""
    changes = (
        ("no white space at their ends", str.strip),
        ("no quotes around them", lambda text: text.strip("\"'")),
        ("no prefix before their first _", lambda text: text.partition("_")[2]),
        ("whsec_ before them", lambda text: f"whsec_{text}"),
        ("no line ends in them", lambda text: re.sub(r"[\r\n]", "", text)),
        ("been decoded from base64", _from_base64),
    )
    for condition, change in changes:
        try:
            changed = tuple(Secret(change(secret.reveal())) for secret in provider.settings.secrets)
            made = _remade(provider, secrets=changed)
        except ValueError:
            continue
        yield (
            Hypothesis(f"the secrets have {condition}", "the source's secrets are not written as this provider's"),
            made,
        )


def _from_base64(text: str) -> str:
    return base64.b64decode(text, validate=True).decode()


def url_variants(provider: Provider, request: Request) -> Iterator[tuple[Hypothesis, Provider]]:
    """Yield the source with the notification_url the provider may have; only for providers that sign it."""
    configured = getattr(provider.settings, "notification_url", None)
    if "notification_url" not in type(provider.settings).model_fields:
        return
    seen = {configured}
    for url in [*_urls_like(configured or ""), *_urls_of(request)]:
        if url not in seen:
            seen.add(url)
            try:
                made = _remade(provider, notification_url=url)
            except ValueError:
                continue
            yield Hypothesis(f"notification_url is {url}", "the URL differs from the one the provider was given"), made


def _urls_like(url: str) -> Iterator[str]:
    parts = urlsplit(url)
    if not parts.netloc:
        return
    ports = {"https": ":443", "http": ":80"}
    hosts = (parts.netloc, re.sub(r":\d+$", "", parts.netloc), parts.netloc + ports.get(parts.scheme, ""))
    paths = (parts.path, parts.path.rstrip("/"), parts.path.rstrip("/") + "/")
    for scheme, host, path, query in product((parts.scheme, "https", "http"), hosts, paths, (parts.query, "")):
        yield urlunsplit((scheme, host, path, query, ""))


def _urls_of(request: Request) -> Iterator[str]:
    for name in ("x-forwarded-host", "host"):
        host = (request.headers.first(name) or b"").decode("ascii", errors="replace")
        if host:
            for scheme in ("https", "http"):
                yield from _urls_like(f"{scheme}://{host}{request.target}")


def _remade(provider: Provider, **changes: object) -> Provider:
    """Return the source with other settings. Raise ValueError where they are not valid."""
    settings = provider.settings
    values = {name: getattr(settings, name) for name in type(settings).model_fields} | changes
    try:
        made: SourceSettings = type(settings).model_validate(values)
    except ValidationError as error:
        raise ValueError("the settings are not valid") from error
    remade = type(provider)(made)
    if hasattr(provider, "keyring"):
        remade.keyring = provider.keyring  # type: ignore[attr-defined]
    return remade
