"""PayPal's signing certificates: for whom they are issued, and which roots are trusted.

PayPal's libraries ship two root certificates, which are in paypal.pem here. They are trusted in addition to the
system's, unless the source's `trusted_certificates` replaces all of them.
"""

import re
from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509.verification import Store

from providers.base import SignatureError
from providers.certificates import anchors, common_name, is_trusted, read_certificates

_ISSUED_TO = re.compile(r"messageverificationcerts(\.[a-z0-9-]+)?\.paypal\.com")


def trusted_roots(own: str | None) -> Store:
    """Return the roots of the source's PEM text, or else the system's and PayPal's."""
    return anchors(None if own is None else read_certificates(own.encode()), "paypal/paypal.pem")


def issued_key(certificate: x509.Certificate) -> RSAPublicKey:
    """Return the key of a certificate that is issued for signing PayPal's messages. Raise SignatureError."""
    key = certificate.public_key()
    if not _ISSUED_TO.fullmatch(common_name(certificate)) or not isinstance(key, RSAPublicKey):
        raise SignatureError("mismatch", "the certificate is not issued to what signs PayPal's messages")
    return key


def check_trusted(chain: Sequence[x509.Certificate], at: datetime, roots: Store) -> None:
    """Raise SignatureError unless the chain leads to a trusted root, and was valid at that time."""
    if not is_trusted(chain, common_name(chain[0]), at, roots):
        raise SignatureError("mismatch", "the certificate leads to no trusted root, or is not valid now")
