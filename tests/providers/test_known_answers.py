"""Known answers of our own making, for senders without a Python package that signs or verifies.

Made with code that is neither ours nor Python's: Shopify's by its own package, the others by node:crypto in the way
that each sender describes, since their npm packages neither sign nor verify. Of these senders only Shopify is known to
have published a secret, a body and a signature that belong together (PagBank's page leaves out the token).
"""

from dataclasses import dataclass

import pytest

from providers.base import SignatureError
from tests.support.cases.base import RawHeaders, Signed
from tests.support.provider_cases import CASES


@dataclass(frozen=True, slots=True)
class Answer:
    """The signature that `made_with` gave for the secret and the body."""

    made_with: str
    secret: str
    signature: bytes
    body: str
    unsigned: tuple[tuple[bytes, bytes], ...] = ()

    def signed(self, header: bytes) -> Signed:
        headers: RawHeaders = [(header, self.signature), *self.unsigned]
        return Signed(headers, self.body.encode())


KNOWN = {
    "shopify": Answer(
        "@shopify/shopify-api 13.1.0, createSHA256HMAC",
        "hush-hush",
        b"ETF9YCKNyN6gt83S4k+eCAmxS1KhQhC78Ea8cSHIWW4=",
        '{"id":450789469,"order_id":820982911946154508,"note":"Zoë, 10 €","updated_at":"2026-09-17T13:59:58+02:00"}',
        unsigned=((b"X-Shopify-Topic", b"refunds/create"),),
    ),
    "checkout": Answer(
        "node:crypto, SHA-256 in hex",
        "0123456789-signature-key",
        b"aae6a24e08b1b94c8444a3457fb6bed729e20e4c91744d82c9319edfebc9d016",
        '{"id":"evt_k1","type":"payment_captured","created_on":"2026-09-17T11:59:58.8821546Z",'
        '"data":{"id":"pay_k1","reference":"Zoë, 10 €","amount":1000,"currency":"EUR"}}',
    ),
    "paystack": Answer(
        "node:crypto, SHA-512 in hex",
        "an-api-secret-key",
        b"e8adb65e5e8de25b3e2ff686470e1c4777b89c1dba783cb9b378bf13f2406d5a"
        b"f83050094842ce789ded1601a5cdcb59957e5fed1e782cd61e16c3c358136aca",
        '{"event":"charge.success","data":{"id":302962,"reference":"ref_k1","amount":100000,"message":"Zoë, 10 €"}}',
    ),
    "lemonsqueezy": Answer(
        "node:crypto, SHA-256 in hex",
        "a-signing-secret",
        b"6134a12a31fb689111dce707d53d5b1a4ba275fcdad0584c63661e2509202a57",
        '{"meta":{"event_name":"order_created"},'
        '"data":{"type":"orders","id":"7","attributes":{"user_name":"Zoë, 10 €"}}}',
    ),
    "flutterwave": Answer(
        "node:crypto, SHA-256 in base64",
        "a-secret-hash",
        b"HzCmtFskMAySI0/CSAYPSeHA2ZY9/b1T5y1jtpJ7RLo=",
        '{"webhook_id":"wbk_k1","timestamp":1789646398000,"type":"charge.completed",'
        '"data":{"id":"chg_k1","status":"succeeded","description":"Zoë, 10 €"}}',
    ),
    "flutterwave_v3": Answer(
        "nothing: the secret itself is what is sent",
        "a-secret-hash",
        b"a-secret-hash",
        '{"event":"charge.completed","data":{"id":285959876,"tx_ref":"Links-2","status":"successful"}}',
    ),
    "klarna": Answer(
        "node:crypto, SHA-256 in hex",
        "a-signing-key",
        b"8e002418df8e66969b8eb2ca36550d26280c208741aa640ad71e981f20477f5f",
        '{"metadata":{"event_id":"0f6b0c55","event_type":"payment.request.state-change.completed"},'
        '"payload":{"payment_request_id":"krn:payment:eu1:request:k1","note":"Zoë, 10 €"}}',
        unsigned=((b"Klarna-Signing-Key-Id", b"krn:partner:global:notification:signing-key:0"),),
    ),
    "pagbank": Answer(
        "node:crypto, the plain SHA-256 of token, hyphen and body in hex",
        "9f1c0c5e-2d64-4b7a-8f39-account-token",
        b"981c9ae6e87acd300f738b790cc0d2d287345dc48e0b265a0be7d97253dd939a",
        '{"id":"ORDE_K1","created_at":"2026-09-17T08:59:58.027-03:00",'
        '"charges":[{"id":"CHAR_K1","status":"PAID","description":"Zoë, 10 €"}]}',
    ),
}

every_answer = pytest.mark.parametrize(("name", "answer"), KNOWN.items(), ids=KNOWN)


@every_answer
async def test_a_known_answer_passes(name: str, answer: Answer) -> None:
    case = CASES[name]
    (delivery,) = await case.source(answer.secret).verify(answer.signed(case.signature).request())
    assert delivery.secret_number == 1
    assert delivery.event.body == answer.body.encode()


@every_answer
async def test_it_passes_for_no_other_secret(name: str, answer: Answer) -> None:
    case = CASES[name]
    with pytest.raises(SignatureError) as refused:
        await case.source(f"{answer.secret}.").verify(answer.signed(case.signature).request())
    assert refused.value.reason == "mismatch"
