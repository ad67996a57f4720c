"""Why TLS to a server failed, as a sentence for the person on call."""

import ssl
from collections.abc import Iterator

NOT_YET, EXPIRED = 9, 10
UNKNOWN_AUTHORITY = frozenset({2, 7, 18, 19, 20, 21})
OTHER_NAME = frozenset({62, 64})
"""OpenSSL's codes of a certificate that is not verified, of `openssl verify`."""


def describe_tls(error: BaseException, *, authority: str, certificate: str) -> str:
    """Return why TLS failed, '' if it did not fail for a reason of TLS.

    `authority` and `certificate` name the options with the file of the authority, and of a certificate of ours.
    """
    for each in _causes(error):
        if isinstance(each, ssl.SSLCertVerificationError):
            return _unverified(each, authority)
        if isinstance(each, ssl.SSLError):
            return _failed(each, certificate)
    return ""


def describe_tls_of_redis(error: Exception, *, speaks_tls: bool, timed_out: bool) -> str:
    """Return why TLS to Redis failed, '' if it did not fail for a reason of TLS. `speaks_tls`: we do."""
    cause, ours = error.__cause__ or error.__context__, "ssl_certfile and ssl_keyfile of REDIS_URL"
    is_cut = isinstance(cause, ConnectionResetError)
    if not speaks_tls:
        return "it ended the connection at once: if it speaks TLS, REDIS_URL begins with rediss" if is_cut else ""
    if is_cut:
        return f"it ended the connection at once: if it wants a certificate from us, {ours} name one"
    if timed_out:
        return "no answer in TLS, for which rediss in REDIS_URL asks: it hangs, or this port has no TLS"
    if isinstance(cause, FileNotFoundError | PermissionError):
        return f"a file that REDIS_URL names cannot be read ({error})"
    return describe_tls(error, authority="ssl_ca_certs of REDIS_URL", certificate=ours)


def describe_tls_of_postgres(url: str, error: Exception) -> str:
    """Return why TLS to Postgres failed, '' if it did not fail for a reason of TLS."""
    if "rejected SSL upgrade" in str(error):
        return "it has no TLS (ssl = off), for which sslmode of its address asks"
    is_file = isinstance(error, FileNotFoundError | PermissionError) and not error.filename  # else a socket's
    if is_file and "ssl" in url:
        return f"a file that sslrootcert, sslcert or sslkey of its address names cannot be read ({error})"
    return describe_tls(error, authority="sslrootcert of its address", certificate="sslcert and sslkey of its address")


def _unverified(error: ssl.SSLCertVerificationError, authority: str) -> str:
    code = error.verify_code
    if code == EXPIRED:
        return "its certificate has expired: renew it there"
    if code == NOT_YET:
        return "its certificate is not valid yet: compare the clocks"
    if code in OTHER_NAME:
        return "its certificate is for another name than the address has: use a name that it is for"
    if code in UNKNOWN_AUTHORITY:
        return f"its certificate is not from an authority in {authority}"
    return f"its certificate cannot be verified: {error.verify_message}"


def _failed(error: ssl.SSLError, certificate: str) -> str:
    reason = error.reason or str(error)
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST"):
        return "it answers, and not in TLS: this port has none"
    if "CERTIFICATE_REQUIRED" in reason or "HANDSHAKE_FAILURE" in reason or "BAD_CERTIFICATE" in reason:
        return f"it wants a certificate from us that it trusts ({reason}): {certificate} name one"
    return f"TLS failed: {reason}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
