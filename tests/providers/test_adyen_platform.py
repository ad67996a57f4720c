"""Adyen's platform webhooks: the body is signed, and identifies the event. Its own library agrees."""

import json
from datetime import UTC, datetime

import Adyen.util
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.base import PayloadError
from tests.support.cases.adyen import AdyenPlatformCase
from tests.support.cases.base import Signed
from tests.support.verification import event_of, outcome_of

PLATFORM = AdyenPlatformCase()
KEY = PLATFORM.secrets[0]

# The published ones: github.com/Adyen/adyen-python-api-library, test/UtilTest.py.
PUBLISHED_KEY = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"
PUBLISHED_PLATFORM = "fX74xUdztFmaXAn3IusMFFUBUSkLmDQUK0tm8xL6ZTU="
PUBLISHED_PLATFORM_BODY = """
        {
            "type": "merchant.created",
            "environment": "test",
            "createdAt": "01-01-2024",
            "data": {
                "capabilities": {
                    "sendToTransferInstrument": {
                        "requested": true,
                        "requestedLevel": "notApplicable"
                    }
                },
                "companyId": "YOUR_COMPANY_ID",
                "merchantId": "YOUR_MERCHANT_ACCOUNT",
                "status": "PreActive"
            }
        }
        """


async def test_adyens_published_example_of_the_platform_passes() -> None:
    signed = Signed([(PLATFORM.signature, PUBLISHED_PLATFORM.encode())], PUBLISHED_PLATFORM_BODY.encode())
    event = await event_of(PLATFORM, signed, PUBLISHED_KEY)
    assert (event.type, event.resource, event.occurred_at) == ("merchant.created", "YOUR_MERCHANT_ACCOUNT", None)
    assert await outcome_of(PLATFORM, signed.with_body(signed.body.strip()), PUBLISHED_KEY) == "mismatch"


@pytest.mark.parametrize(
    ("data", "resource"),
    [
        ({"id": "transfer_1", "categoryData": {}}, "transfer_1"),
        ({"id": "transaction_1", "transfer": {"id": "transfer_1"}}, "transfer_1"),
        ({"id": "transaction_1", "transferId": "transfer_1"}, "transfer_1"),
        ({"merchantId": "m_1", "companyId": "c_1"}, "m_1"),
        ({}, None),
        ([], None),
        (None, None),
    ],
)
async def test_a_transaction_is_about_its_transfer(data: object, resource: str | None) -> None:
    body = json.dumps({"type": "balancePlatform.transaction.created", "data": data})
    event = await event_of(PLATFORM, PLATFORM.deliver(body))
    assert event.event_id.startswith("sha256:")
    assert event.resource == resource or (resource is None and event.resource == event.event_id)


async def test_a_platform_event_is_identified_by_its_body() -> None:
    signed = PLATFORM.signed()
    first = await event_of(PLATFORM, signed)
    again = await event_of(PLATFORM, Signed(signed.headers, signed.body, ((b"Protocol", b"HmacSHA1"),)))
    other = await event_of(PLATFORM, PLATFORM.deliver(json.dumps(PLATFORM.event("other"))))
    assert first.event_id == again.event_id != other.event_id
    assert first.occurred_at == datetime(2026, 9, 17, 11, 59, 58, tzinfo=UTC)


@pytest.mark.parametrize("body", [b"{}", b'{"type":""}', b'{"type":5}', b"[]"])
async def test_a_body_the_platform_would_not_send_is_a_bad_payload(body: bytes) -> None:
    with pytest.raises(PayloadError):
        await event_of(PLATFORM, PLATFORM.deliver_bytes(body))


@settings(deadline=None, max_examples=100)
@given(
    body=st.binary(max_size=50),
    key=st.sampled_from(PLATFORM.secrets[:2]),
    edit=st.tuples(st.integers(0, 44), st.integers(0, 2), st.sampled_from(["", "0", "A", "="])),
)
async def test_adyens_library_agrees_on_the_platform(body: bytes, key: str, edit: tuple[int, int, str]) -> None:
    signed = PLATFORM.deliver_bytes(body, key)
    ((name, value),) = signed.headers
    start, length, inserted = edit
    value = value[:start] + inserted.encode() + value[start + length :]
    theirs = Adyen.util.is_valid_hmac_payload(value.decode(), KEY, body)
    assert (await outcome_of(PLATFORM, signed.with_header(name, value)) == "genuine") is theirs
