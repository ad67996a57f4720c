"""What PayPal sent in 2019, and sources that receive it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from providers.base import Headers, Request, SignatureError
from providers.paypal.webhook import PayPal, PayPalSettings
from tests.support.cases.public_keys import serving

# PayPal-Java-SDK, ValidateCertTest and clientCertTest.crt: sent by PayPal's sandbox, with the certificate of that time.
PUBLISHED = Path(__file__).parents[1] / "providers" / "published"
SENT_BODY = (PUBLISHED / "paypal_2019.json").read_bytes()
SENT_CERTIFICATE = (PUBLISHED / "paypal_2019.pem").read_bytes()
SENT_URL = "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594-1d93a270"
SENT_AT = datetime(2019, 8, 29, 10, 49, 33, tzinfo=UTC)
WEBHOOK_ID = "0FV983392A0531201"
SENT = {
    b"PAYPAL-TRANSMISSION-ID": b"afa30d40-ca4a-11e9-ab68-7d4e2605c70c",
    b"PAYPAL-TRANSMISSION-TIME": b"2019-08-29T10:49:33Z",
    b"PAYPAL-AUTH-ALGO": b"SHA256withRSA",
    b"PAYPAL-CERT-URL": SENT_URL.encode(),
    b"PAYPAL-TRANSMISSION-SIG": (
        b"K7DF5+hOyGS6v0xTZ9PkEO+BFNQmpryxw2hFlXbHgmxpu+883ldEC9HcL6ccEmB8sfy80y/Q3qcZZL1MR8Qi0e1ysylVj/yROgKK6zBsQPoN"
        b"mgXC8yTiNoAjULuhk5Aoau0Itk3nrkgAfji1zvADlErMFM9VZe2nDvhM3nDMLjCi/K5fRjWp3eGo6Nx17GX/WIEibeKDyS+YdJMex3i+KO4a"
        b"Wmm9zznC/FJ5Y/ntd0MxOJNrM0r0f3y7c3e3sO5pB3oPgN6KzKVS5P6AWHqtS8acD3DjgCKZ1uqKz7q954G1aBz2/m0wRGOFFsv0/D3FE2uI"
        b"heRRmoQtVSOAX7Aupg=="
    ),
}


def paypal(served: bytes = SENT_CERTIFICATE, url: str = SENT_URL, **table: object) -> PayPal:
    """Return a source with the default roots, for which this certificate is served at this address."""
    known = {"source": "a", "provider": "paypal", "webhook_id": WEBHOOK_ID}
    return PayPal(PayPalSettings.model_validate({**known, **table}), serving({url: served}))


def sent(at: datetime = SENT_AT, body: bytes = SENT_BODY, **headers: bytes) -> Request:
    """Return the request of 2019, with other headers or another body."""
    changed = SENT | {name.replace("_", "-").encode(): value for name, value in headers.items()}
    return Request("POST", "/webhooks/a", Headers(list(changed.items())), body, at)


async def refused(source: PayPal, request: Request) -> str:
    """Return the reason why the request is refused."""
    with pytest.raises(SignatureError) as error:
        await source.verify(request)
    return str(error.value)
