"""PayPal's certificates: where they are fetched, to whom they are issued, and which roots are trusted."""

import ssl
from base64 import b64decode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from providers.base import SignatureError, UnavailableError
from providers.keyring import KEPT_S
from providers.paypal.webhook import PayPal, PayPalSettings
from tests.support.cases.base import NOW
from tests.support.cases.public_keys import (
    CERTIFICATE_URL,
    ISSUED_TO,
    PayPalCase,
    certificate,
    root,
    serving,
)
from tests.support.paypal_2019 import SENT_CERTIFICATE, paypal, refused, sent

CASE = PayPalCase()


@pytest.mark.parametrize("at", [datetime(2019, 4, 1, tzinfo=UTC), datetime(2021, 5, 25, tzinfo=UTC), NOW])
async def test_a_certificate_is_trusted_only_while_it_is_valid(at: datetime) -> None:
    assert "not valid now" in await refused(paypal(), sent(at))


@pytest.mark.parametrize(
    "url",
    [
        "http://api.sandbox.paypal.com/v1/notifications/certs/CERT-1",
        "https://evil.example/v1/notifications/certs/CERT-1?api.paypal.com",
        "https://api.paypal.com@evil.example/cert",
        "https://api.paypal.com:pw@evil.example/cert",
        "https://api.paypal.com.evil.example/cert",
        "https://evilpaypal.com/cert",
        "https://evil.example/https://api.paypal.com/cert",
        "https://evil.example#.paypal.com/cert",
        "https://evil.example\\.paypal.com/cert",
        "https://evil.example%2f.paypal.com/cert",
        "https://api.paypal.com:8443/cert",
        "https://api.paypal.com./cert",
        "https://api.paypal.com/cert?x=1",
        "https://api.paypal.com/cert#x",
        "https://API.PAYPAL.COM/cert",
        "https://api.paypal.com",
        "https://127.0.0.1/cert",
        "https://[::1]/cert",
        "https://\u0430pi.paypal.com/cert",
        "file:///etc/passwd",
        "//api.paypal.com/cert",
        " https://api.paypal.com/cert",
        "https://api.paypal.com/cert\n",
        "https://api.paypal.com/" + "x" * 1000,
        "https://paypal.com/v1/notifications/certs/CERT-1",
        "https://www.paypal.com/v1/notifications/certs/CERT-1",
        "https://a-b.c.paypal.com/v1/notifications/certs/CERT-1",
        "https://api.paypal.com/cert",
        "https://api.paypal.com/v1/notifications/../../cert",
        "https://api.paypal.com/v1/notifications/certs//CERT-1",
        "https://api.paypal.com/v1/notifications//certs/CERT-1",
        "https://api.paypal.com/v1/notifications/certs/CERT-1/",
        "https://api.paypal.com/v1/notifications/certs/CERT-1/x",
        "https://api.paypal.com/v1/notifications/webhooks",
        "https://api.paypal.com/v1/notifications/certs/CERT-" + "1" * 200,
    ],
)
async def test_no_other_address_is_fetched(url: str) -> None:
    asked: list[str] = []

    async def fetch(each: str) -> bytes:
        asked.append(each)
        return SENT_CERTIFICATE

    source = paypal()
    source.keyring.fetch = fetch
    assert "the address of the key" in await refused(source, sent(PAYPAL_CERT_URL=url.encode()))
    assert asked == []


@pytest.mark.parametrize("host", ["api", "api-m", "api.sandbox", "api-m.sandbox"])
async def test_the_hosts_of_paypals_api_serve_the_certificate(host: str) -> None:
    url = f"https://{host}.paypal.com/v1/notifications/certs/CERT-1"
    assert await paypal(url=url).verify(sent(PAYPAL_CERT_URL=url.encode()))


async def test_a_failed_fetch_makes_it_unavailable() -> None:
    with pytest.raises(UnavailableError):
        await paypal(url="https://api.paypal.com/other").verify(sent())
    for document in (b"", b"<html>maintenance</html>", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"):
        with pytest.raises(UnavailableError):
            await paypal(document).verify(sent())


def pem(*certificates: object) -> bytes:
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates)  # type: ignore[attr-defined]


def ours(served: bytes, trusted: str | None = None) -> PayPal:
    table = {"source": "a", "provider": "paypal", "webhook_id": CASE.secrets[0]}
    own = {"trusted_certificates": trusted} if trusted else {}
    return PayPal(PayPalSettings.model_validate({**table, **own}), serving({CERTIFICATE_URL: served}))


async def test_a_certificate_must_lead_to_a_trusted_root() -> None:
    request = CASE.signed().request()
    assert await ours(pem(certificate()), root()).verify(request)
    assert "no trusted root" in await refused(ours(pem(certificate())), request)
    assert "no trusted root" in await refused(ours(pem(certificate()), root("another root")), request)
    assert "no trusted root" in await refused(ours(pem(certificate(signer=ISSUED_TO)), root()), request)


async def test_a_chain_may_come_with_the_certificate() -> None:
    leaf = certificate(ISSUED_TO, "between")
    between = certificate("between", "our root", is_root=True)
    assert await ours(pem(leaf, between), root()).verify(CASE.signed().request())
    assert "no trusted root" in await refused(ours(pem(leaf), root()), CASE.signed().request())


async def test_only_an_authority_may_sign_certificates() -> None:
    leaf = certificate(ISSUED_TO, "www.paypal.com")
    not_an_authority = certificate("www.paypal.com", "our root")
    assert "no trusted root" in await refused(ours(pem(leaf, not_an_authority), root()), CASE.signed().request())


@pytest.mark.parametrize(
    "name",
    ["www.paypal.com", "messageverificationcerts.paypal.com.evil.example", "xmessageverificationcerts.paypal.com"],
)
async def test_a_certificate_must_be_issued_for_signing_messages(name: str) -> None:
    assert "not issued to" in await refused(ours(pem(certificate(name)), root()), CASE.signed().request())


@pytest.mark.parametrize("other", [certificate("www.paypal.com"), certificate(signer=ISSUED_TO)])
async def test_a_certificate_in_use_is_not_replaced_by_one_that_is_not_trusted(other: object) -> None:
    served = {CERTIFICATE_URL: pem(certificate())}
    source = ours(b"", root())
    source.keyring.fetch = serving(served)
    request = CASE.signed().request()
    assert await source.verify(request)
    served[CERTIFICATE_URL] = pem(other)
    later = replace(request, received_at=NOW + timedelta(seconds=KEPT_S + 1))
    assert await source.verify(later)
    with pytest.raises(SignatureError):
        await ours(pem(other), root()).verify(later)


def test_the_bundled_roots_are_the_two_that_paypal_ships() -> None:
    text = Path("providers/paypal/paypal.pem").read_text()
    ders = [b64decode("".join(each.split("-----")[0].split())) for each in text.split("BEGIN CERTIFICATE-----")[1:]]
    assert len(ders) == 2
    assert all(ssl.DER_cert_to_PEM_cert(der).strip() in text for der in ders)
