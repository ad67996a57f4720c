"""Standard Webhooks signed with a private key: `v1a`, verified with the sender's `whpk_` public key."""

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError

from providers import PROVIDERS
from providers.signing import PUBLIC_KEY_SIGNATURES_MAX, hmac_sha256, padded_base64
from tests.support.cases.base import NOW, NOW_S, Signed
from tests.support.cases.standard_webhooks import StandardWebhooksCase
from tests.support.verification import event_of, outcome_of

CASE = StandardWebhooksCase()
SIGNATURE = b"webhook-signature"

# RFC 8032, section 7.1, test 2: the pair is theirs. What is signed with it is signed by cryptography.
PRIVATE_KEY = Ed25519PrivateKey.from_private_bytes(
    bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
)
PUBLIC_KEY = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
SECRET = f"whpk_{base64.b64encode(PUBLIC_KEY).decode()}"
OTHER = f"whpk_{base64.b64encode(Ed25519PrivateKey.generate().public_key().public_bytes_raw()).decode()}"

BODY = json.dumps(CASE.event("Café")).encode()
MADE = base64.b64encode(PRIVATE_KEY.sign(b"msg_1.%d." % NOW_S + BODY))


def signed(signature: bytes = b"v1a," + MADE, body: bytes = BODY) -> Signed:
    headers = [(b"webhook-id", b"msg_1"), (b"webhook-timestamp", b"%d" % NOW_S), (SIGNATURE, signature)]
    return Signed(headers, body)


async def test_the_signature_verifies_and_the_event_is_the_same() -> None:
    event = await event_of(CASE, signed(), SECRET)
    assert (event.event_id, event.type, event.resource, event.signed) == ("msg_1", "order.paid", "ord_1", "body")


async def test_secrets_and_public_keys_are_numbered_in_their_order() -> None:
    body = BODY.decode()
    by_secret = CASE.deliver(body)
    source = CASE.source(OTHER, CASE.secrets[0], SECRET)
    for request, number in ((signed(), 3), (by_secret, 2)):
        (delivery,) = await source.verify(request.request())
        assert delivery.secret_number == number
    both = signed(dict(by_secret.headers)[SIGNATURE] + b" v1a," + MADE)
    for secrets in ((SECRET,), CASE.secrets[:1], (OTHER, SECRET), (CASE.secrets[1], CASE.secrets[0])):
        assert await outcome_of(CASE, both, *secrets) == "genuine"


@pytest.mark.parametrize("public_key", [SECRET, SECRET.removeprefix("whpk_"), [OTHER, SECRET]])
async def test_a_public_key_has_its_own_setting_and_needs_no_secret(public_key: object) -> None:
    kind = PROVIDERS["standard_webhooks"]
    table = {"source": "a", "provider": "standard_webhooks", "public_key": public_key}
    for secrets in ((), CASE.secrets[:1]):
        listed = {"secrets": secrets} if secrets else {}
        source = kind(kind.Source.model_validate({**table, **listed}))
        (delivery,) = await source.verify(signed().request())
        assert delivery.secret_number == len(secrets) + (2 if isinstance(public_key, list) else 1)


@pytest.mark.parametrize("table", [{}, {"public_key": []}, {"public_key": ""}, {"public_key": "x"}, {"secrets": []}])
def test_without_secret_and_public_key_nothing_starts(table: dict[str, object]) -> None:
    for name in ("standard_webhooks", "svix"):
        with pytest.raises(ValidationError):
            PROVIDERS[name].Source.model_validate({"source": "a", "provider": name, **table})


async def test_one_flipped_bit_is_refused() -> None:
    request = signed()
    for name, value in request.headers:
        for bit in range(8 * len(value)):
            flipped = bytearray(value)
            flipped[bit // 8] ^= 1 << bit % 8
            assert await outcome_of(CASE, request.with_header(name, bytes(flipped)), SECRET) != "genuine"
    for bit in range(8 * len(BODY)):
        body = bytearray(BODY)
        body[bit // 8] ^= 1 << bit % 8
        assert await outcome_of(CASE, signed(body=bytes(body)), SECRET) == "mismatch"


async def test_another_key_is_refused() -> None:
    assert await outcome_of(CASE, signed(), OTHER) == "mismatch"


async def test_a_public_key_is_no_secret() -> None:
    """Everyone knows it, so an HMAC made with it, or with its text, proves nothing."""
    for key in (PUBLIC_KEY, SECRET.encode(), SECRET.removeprefix("whpk_").encode()):
        forged = padded_base64(hmac_sha256(key, b"msg_1.%d." % NOW_S + BODY))
        assert await outcome_of(CASE, signed(b"v1," + forged), SECRET) == "malformed"
        assert await outcome_of(CASE, signed(b"v1a," + forged), SECRET) == "mismatch"
        assert await outcome_of(CASE, signed(b"v1," + forged), SECRET, CASE.secrets[0]) == "mismatch"


async def test_a_signature_counts_under_its_own_version_only() -> None:
    assert await outcome_of(CASE, signed(b"v1," + MADE), SECRET) == "malformed"
    assert await outcome_of(CASE, signed(), CASE.secrets[0]) == "malformed"


@pytest.mark.parametrize("junk", [b"", b"!", b"AAAA", b"A" * 88, MADE[:-2], MADE + b"=", b"\xff", MADE[:-3] + b"x=="])
async def test_junk_is_refused_and_harmless_next_to_a_genuine_signature(junk: bytes) -> None:
    assert await outcome_of(CASE, signed(b"v1a," + junk), SECRET) == "mismatch"
    assert await outcome_of(CASE, signed(b"v1a," + junk + b" v1a," + MADE), SECRET) == "genuine"


async def test_the_number_of_tried_signatures_is_limited() -> None:
    junk = b"v1a," + base64.b64encode(bytes(64)) + b" "
    assert await outcome_of(CASE, signed(junk * (PUBLIC_KEY_SIGNATURES_MAX - 1) + b"v1a," + MADE), SECRET) == "genuine"
    assert await outcome_of(CASE, signed(junk * PUBLIC_KEY_SIGNATURES_MAX + b"v1a," + MADE), SECRET) == "malformed"


@pytest.mark.parametrize("secret", ["whpk_", "whpk_AAAA", "whpk_%%%%", SECRET[:-8], SECRET[:-1] + "AAAA="])
def test_what_is_not_a_public_key_stops_the_start(secret: str) -> None:
    with pytest.raises(ValidationError) as refused:
        CASE.source(CASE.secrets[0], secret)
    assert "number 2" in str(refused.value)


async def test_a_late_signature_is_stale() -> None:
    late = NOW.replace(hour=13)
    assert await outcome_of(CASE, signed(), SECRET, received_at=late) == "stale"
