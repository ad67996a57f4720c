"""PayPal's signing certificates: for whom they are issued, and which roots are trusted.

PayPal's libraries ship two root certificates, which are in paypal.pem here. They are trusted in addition to the
system's, unless the source's `trusted_certificates` replaces all of them.
"""

import re
from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509.verification import Store

from providers.base import SignatureError
from providers.certificates import anchors, common_name, is_trusted, read_certificates

_ISSUED_TO = re.compile(r"messageverificationcerts(\.[a-z0-9-]+)?\.paypal\.com")


def trusted_roots(own: str | None) -> Store:
    """Return the roots of the source's PEM text, or else the system's and PayPal's."""
    return anchors(None if own is None else read_certificates(own.encode()), "paypal/paypal.pem")


class Chain:
    """The certificates at one address: the signer's, and those up to a root. The key is read once, not per request."""

    def __init__(self, certificates: Sequence[x509.Certificate]) -> None:
        self.certificates = certificates
        self.expires_at = certificates[0].not_valid_after_utc
        key = certificates[0].public_key()
        is_issued = _ISSUED_TO.fullmatch(common_name(certificates[0])) is not None
        self._key = key if is_issued and isinstance(key, RSAPublicKey) else None

    def key(self) -> RSAPublicKey:
        """Return the signer's key. Raise SignatureError where it is not issued for signing PayPal's messages."""
        if self._key is None:
            raise SignatureError("mismatch", "the certificate is not issued to what signs PayPal's messages")
        return self._key


def read_chain(pem: bytes) -> Chain:
    """Return the certificates of a PEM text. Raise ValueError."""
    try:
        return Chain(read_certificates(pem))
    except UnsupportedAlgorithm:
        raise ValueError("a certificate has a key of an unknown kind") from None


def check_trusted(chain: Sequence[x509.Certificate], at: datetime, roots: Store) -> None:
    """Raise SignatureError unless the chain leads to a trusted root, and was valid at that time."""
    if not is_trusted(chain, common_name(chain[0]), at, roots):
        raise SignatureError("mismatch", "the certificate leads to no trusted root, or is not valid now")
