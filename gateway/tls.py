"""The TLS settings of the listening socket."""

import os
import ssl
from datetime import datetime
from pathlib import Path

from gateway.settings import Settings
from providers.certificates import read_certificates


class TlsError(Exception):
    """The certificate or its key cannot be used. The message names the setting and the file."""


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """Return the server's TLS context, version 1.2 or later; None where no certificate is set. Raise TlsError."""
    certificate, key = settings.gateway_tls_cert, settings.gateway_tls_key
    if certificate is None or key is None:
        return None
    _require_readable("GATEWAY_TLS_CERT", certificate)
    _require_readable("GATEWAY_TLS_KEY", key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key, password="")  # an encrypted key fails, instead of asking a terminal
    except (ssl.SSLError, ValueError) as error:
        raise TlsError(
            f"GATEWAY_TLS_CERT {certificate} and GATEWAY_TLS_KEY {key} cannot be used together ({error}). They must be "
            "PEM files: the certificate first in its chain, and its key, without a password"
        ) from error
    return context


def certificate_expires_at(settings: Settings) -> datetime | None:
    """Return when the gateway's own certificate expires; None where none is set, or it cannot be read any more."""
    if settings.gateway_tls_cert is None:
        return None
    try:
        return read_certificates(settings.gateway_tls_cert.read_bytes())[0].not_valid_after_utc
    except (OSError, ValueError):
        return None


def _require_readable(setting: str, path: Path) -> None:
    if not (path.is_file() and os.access(path, os.R_OK)):
        raise TlsError(f"{setting}: {path} is not a file that can be read")
