"""The command that sends an event's body again to a gateway, as a person would paste it into a shell.

It has no secret: headers that may hold one are left out, and the signature is not made anew, so that the gateway
refuses what is older than its tolerance. The body is passed with `--data-raw`: `--data-binary` would read a file where
a body begins with `@`.
"""

import re
import shlex
from collections.abc import Mapping

from operations.body import masked_body
from operations.masking import mask_headers

COMMAND_BODY_BYTES_MAX = 16 * 1024
"""A larger body is downloaded, and read from the file."""

BODY_FILE = "body.bin"

_SECRET_HEADER = re.compile("authorization|cookie|token|secret|api-?key|password|credential", re.IGNORECASE)
_PLAIN = frozenset(range(0x20, 0x7F)) - set(b"'\\")


def curl_command(source: str, body: bytes, headers: Mapping[str, str], *, is_masked: bool) -> str | None:
    """Return the command for a POSIX shell with `$'…'` (bash, zsh, ksh); None if its body cannot be masked."""
    if is_masked:
        masked = masked_body(body, pretty=False)
        if masked is None:
            return None
        body, headers = masked.encode(), mask_headers(headers)
    lines = [f'curl "$GATEWAY_URL"{shlex.quote(f"/webhooks/{source}")}']
    shown = {name: value for name, value in headers.items() if not _SECRET_HEADER.search(name)}
    if "content-type" not in shown:
        shown["content-type"] = "application/json" if body[:1] in (b"{", b"[") else "text/plain"
    lines += [f"  --header {_quoted(f'{name}: {value}'.encode())}" for name, value in shown.items()]
    if len(body) > COMMAND_BODY_BYTES_MAX or b"\0" in body:
        lines.append(f"  --data-binary @{BODY_FILE}")
    else:
        lines.append(f"  --data-raw {_quoted(body)}")
    return " \\\n".join(lines)


def _quoted(text: bytes) -> str:
    """Return bytes as one word: within '…' if nothing in it needs more, else within $'…'.

    Other bytes are three octal digits: of `\\x`, some shells read more than two hexadecimal ones.
    """
    if _PLAIN.issuperset(text):
        return f"'{text.decode()}'"
    return "$'" + "".join(chr(byte) if byte in _PLAIN else f"\\{byte:03o}" for byte in text) + "'"
