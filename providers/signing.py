"""Signatures over bytes; the only module that imports hmac.

Whatever a request holds, SignatureError is the only error that verifying it raises.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from providers.base import SignatureError

Encode = Callable[[bytes], bytes]
"""How a digest is written in a header."""

Mac = Callable[[bytes, bytes], bytes]
"""How a digest is computed from a key and a message."""

WHITE_SPACE = b" \t"
"""Optional white space, as RFC 9110 allows it around the items of a header."""

_SPACE, _TAB = WHITE_SPACE

UNIX_S_DIGITS_MAX = 11
"""The most digits of a signed timestamp: enough until the year 5138."""

HEADER_ITEMS_MAX = 32
"""The most signatures, times and the like in the header of one request; no sender documents more than a few.

Inventing one costs a sender three bytes. Each costs us about a third of a microsecond.
"""

HEADER_BYTES_MAX = 8192
"""The most bytes of such a header, with its repetitions. Stepping over white space costs us 2.5 ns a byte."""

PREPARED_KEYS_MAX = 1024
"""Prepared keys in the cache; no installation has as many secrets."""

PUBLIC_KEY_SIGNATURES_MAX = 8
"""The most signatures of one request that are tried with public keys.

Making one up costs the sender nothing; checking it costs us about 0.1 ms.
"""


def lower_hex(digest: bytes) -> bytes:
    """Encode as lower-case hexadecimal, like Stripe and most other senders."""
    return digest.hex().encode()


def upper_hex(digest: bytes) -> bytes:
    """Encode as upper-case hexadecimal, like a few in-house senders."""
    return digest.hex().upper().encode()


def padded_base64(digest: bytes) -> bytes:
    """Encode as standard base64 with padding, which has exactly one text per digest."""
    return base64.b64encode(digest)


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """Return the HMAC-SHA256 of the message."""
    return _hmac(key, message, "sha256")


def hmac_sha1(key: bytes, message: bytes) -> bytes:
    """Return the HMAC-SHA1 of the message. Collisions of SHA-1 do not weaken an HMAC."""
    return _hmac(key, message, "sha1")


def hmac_sha512(key: bytes, message: bytes) -> bytes:
    """Return the HMAC-SHA512 of the message."""
    return _hmac(key, message, "sha512")


def _hmac(key: bytes, message: bytes, digest: str) -> bytes:
    """Return what `hmac.digest` returns, from a prepared key: preparing it costs more than hashing a small body."""
    mac = _prepared(key, digest).copy()
    mac.update(message)
    return mac.digest()


@lru_cache(maxsize=PREPARED_KEYS_MAX)
def _prepared(key: bytes, digest: str) -> hmac.HMAC:
    return hmac.new(key, digestmod=digest)


def sha256_behind_key(key: bytes, message: bytes) -> bytes:
    """Return the plain SHA-256 of key, hyphen and message (PagBank)."""
    return hashlib.sha256(key + b"-" + message).digest()


def key_itself(key: bytes, message: bytes) -> bytes:  # noqa: ARG001 - nothing is signed
    """Return the key: Flutterwave before v4 sends the secret itself, whatever the message is."""
    return key


def header_items(values: Sequence[bytes], separator: bytes) -> list[bytes]:
    """Return the items of a header, without the white space around them. A repeated header is read as one.

    RFC 9110 lets a proxy join repeated headers with a comma and a space, and some senders' libraries accept the space.
    Raise SignatureError("malformed") for more items than any sender sends.
    """
    joined = values[0] if len(values) == 1 else separator.join(values[: HEADER_ITEMS_MAX + 1])
    if len(joined) > HEADER_BYTES_MAX:
        raise SignatureError("malformed", f"a header has more than {HEADER_BYTES_MAX} bytes")
    items = joined.split(separator, HEADER_ITEMS_MAX)
    if len(items) > HEADER_ITEMS_MAX:
        raise SignatureError("malformed", f"a header has more than {HEADER_ITEMS_MAX} items")
    return [item.strip(WHITE_SPACE) for item in items] if _SPACE in joined or _TAB in joined else items


def header_pairs(values: Sequence[bytes], separator: bytes) -> list[tuple[bytes, bytes]]:
    """Return the items of such a header as pairs of key and value, as in `t=1,v1=ab`. Raise likewise."""
    pairs = []
    for item in header_items(values, separator):
        key, _, value = item.partition(b"=")
        pairs.append((key, value))
    return pairs


def signing_key(
    keys: Sequence[bytes], message: bytes, signatures: Sequence[bytes], *encodings: Encode, mac: Mac = hmac_sha256
) -> int:
    """Return the number (from 1) of the first key that one of the signatures was made with.

    The encoded texts are compared, in constant time. Decoding them would let several texts mean one signature, so that
    a header with a flipped bit could pass. The digest is computed once per key, however many signatures came. Raise
    SignatureError("mismatch"), or "malformed" for more signatures than any sender sends; ValueError for an empty key.
    """
    if len(signatures) > HEADER_ITEMS_MAX:
        raise SignatureError("malformed", f"there are more than {HEADER_ITEMS_MAX} signatures")
    if not all(keys):
        raise ValueError("a signing key is empty, so anyone could sign")
    for number, key in enumerate(keys, start=1):
        digest = mac(key, message)
        for encode in encodings:
            genuine = encode(digest)
            length = len(genuine)  # no secret; comparing takes 1 ns for each byte of what the sender wrote
            for signature in signatures:
                if len(signature) == length and hmac.compare_digest(genuine, signature):
                    return number
    raise SignatureError("mismatch", "no secret of the source made any of the signatures")


def ed25519_key(keys: Mapping[int, Ed25519PublicKey], message: bytes, signatures: Sequence[bytes]) -> int | None:
    """Return the number of the first public key that verifies one of the base64 signatures, or None.

    Raise SignatureError("malformed") for more signatures than any sender sends.
    """
    if len(signatures) > PUBLIC_KEY_SIGNATURES_MAX:
        raise SignatureError("malformed", f"there are more than {PUBLIC_KEY_SIGNATURES_MAX} signatures")
    decoded = [signature for signature in map(exact_base64, signatures) if signature is not None]
    return next((number for number, key in keys.items() if any(_ed25519(key, message, each) for each in decoded)), None)


def _ed25519(key: Ed25519PublicKey, message: bytes, signature: bytes) -> bool:
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def exact_base64(text: bytes) -> bytes | None:
    """Return the decoded bytes, or None where the text is not the one base64 text of those bytes.

    A lax decoder lets several texts mean one signature, so that a header with a flipped bit could pass.
    """
    try:
        decoded = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return decoded if base64.b64encode(decoded) == text else None


def unix_s(text: bytes) -> int:
    """Return a signed timestamp in Unix seconds. Only ASCII digits are accepted, because this very text is signed.

    Raise SignatureError("malformed").
    """
    if not (text.isdigit() and len(text) <= UNIX_S_DIGITS_MAX):
        raise SignatureError("malformed", "the signed timestamp is not a number of seconds")
    return int(text)


def check_clock(signed_at_s: int, received_at: datetime, tolerance_s: int) -> None:
    """Raise SignatureError where a request was signed more than `tolerance_s` before, or after, it was received."""
    age_s = received_at.timestamp() - signed_at_s
    if age_s > tolerance_s:
        raise SignatureError(
            "stale", f"signed {age_s:.0f} s before it was received; {tolerance_s} s are tolerated", age_s
        )
    if age_s < -tolerance_s:
        raise SignatureError(
            "future", f"signed {-age_s:.0f} s after it was received; {tolerance_s} s are tolerated", age_s
        )


def key_from_base64(text: str) -> bytes:
    """Return the key that a secret holds in base64, with or without padding.

    Raise ValueError, whose text does not contain the secret.
    """
    unpadded = text.rstrip("=")
    try:
        key = base64.b64decode(unpadded + "=" * (-len(unpadded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("a secret is not base64") from None
    if not key:
        raise ValueError("a secret is empty once its prefix is taken off")
    return key


def key_from_hex(text: str) -> bytes:
    """Return the key that a secret holds in hexadecimal. Raise ValueError, whose text does not contain the secret."""
    try:
        return binascii.unhexlify(text)
    except (binascii.Error, ValueError):
        raise ValueError("a secret is not hexadecimal") from None
