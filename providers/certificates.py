"""X.509 certificates: reading them, and checking that one was issued to a name and leads to a trusted root."""

import ssl
import warnings
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib import resources

from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

CERTIFICATES_MAX = 8
"""The most certificates in one document: the signer's and the chain up to a root."""


def read_certificates(pem: bytes) -> tuple[x509.Certificate, ...]:
    """Return the certificates of a PEM text, at least one. Raise ValueError."""
    found = tuple(x509.load_pem_x509_certificates(pem))
    if len(found) > CERTIFICATES_MAX:
        raise ValueError(f"there are more than {CERTIFICATES_MAX} certificates")
    return found


def common_name(certificate: x509.Certificate) -> str:
    """Return the common name of the subject; "" unless there is exactly one."""
    try:
        (attribute,) = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    except ValueError:
        return ""
    return attribute.value if isinstance(attribute.value, str) else ""


def is_trusted(chain: Sequence[x509.Certificate], name: str, at: datetime, anchors: Store) -> bool:
    """Return whether the first certificate was issued to the DNS name and leads, through the others, to an anchor.

    All of them must be valid at the given time.
    """
    leaf, *others = chain
    policy = PolicyBuilder().store(anchors).time(at.astimezone(UTC).replace(tzinfo=None))
    try:
        policy.build_server_verifier(x509.DNSName(name)).verify(leaf, others)
    except (VerificationError, ValueError):
        return False
    return True


def anchors(own: Iterable[x509.Certificate] | None, bundled: str) -> Store:
    """Return the trusted roots: the operator's own, else the system's and those of a file in this package."""
    if own is not None:
        return Store(list(own))
    shipped = resources.files("providers").joinpath(bundled).read_bytes()
    return Store([*read_certificates(shipped), *_system_roots()])


@cache
def _system_roots() -> tuple[x509.Certificate, ...]:
    roots = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some old roots break newer rules
        for der in ssl.create_default_context().get_ca_certs(binary_form=True):
            try:
                roots.append(x509.load_der_x509_certificate(der))
            except ValueError:
                continue  # an unreadable root is not trusted; the others still are
    return tuple(roots)
