"""Braintree: a form, XML in base64, and comparison with its own library."""

import base64
import hashlib
import warnings
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from providers.base import PayloadError, SignatureError
from providers.braintree.webhook import FORM_FIELDS_MAX, SIGNATURES_MAX
from tests.support.cases.base import Signed
from tests.support.cases.braintree import SDK, BraintreeCase, Crypto, form, sdk_gateway
from tests.support.verification import event_of, outcome_of

CASE = BraintreeCase()
SECRET = CASE.secrets[0]
KIND = SDK.WebhookNotification.Kind


def sample(kind: str, about: str = "id_1") -> tuple[bytes, bytes]:
    """Return the payload and the signature of a notification of Braintree's own code."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # datetime.utcnow, on newer Pythons
        made = sdk_gateway(SECRET).webhook_testing.sample_notification(kind, about)
    return made["bt_payload"], made["bt_signature"].encode()


def posted(body: bytes) -> Signed:
    return Signed([], body)


def sign(payload: bytes, secret: str = SECRET) -> bytes:
    return f"{CASE.public_key(secret)}|{Crypto.sha1_hmac_hash(secret, payload)}".encode()


def of_xml(xml: str) -> Signed:
    payload = base64.encodebytes(xml.encode())
    return posted(form(payload, sign(payload)))


async def test_a_notification_of_braintrees_own_code_passes() -> None:
    payload, signature = sample(KIND.TransactionSettled)
    event = await event_of(CASE, posted(form(payload, signature)))
    assert (event.type, event.resource, event.signed) == ("transaction_settled", "id_1", "body")
    assert event.event_id == f"sha256:{hashlib.sha256(payload.strip()).hexdigest()}"
    assert event.body == payload
    assert b"<kind>transaction_settled</kind>" in base64.decodebytes(event.body)
    assert event.occurred_at is not None
    assert event.occurred_at.tzinfo == UTC


async def test_the_event_has_the_notifications_time() -> None:
    event = await event_of(CASE, CASE.signed())
    assert event.occurred_at == datetime(2026, 9, 17, 11, 59, 58, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "resource"),
    [
        (KIND.TransactionSettlementDeclined, "id_1"),
        (KIND.DisputeOpened, "id_1"),
        (KIND.DisputeLost, "id_1"),
        (KIND.SubscriptionChargedSuccessfully, "id_1"),
        (KIND.SubscriptionCanceled, "id_1"),
        (KIND.Disbursement, "id_1"),
        (KIND.RefundFailed, "id_1"),
        (KIND.LocalPaymentCompleted, "1"),
        (KIND.LocalPaymentFunded, "1"),
        (KIND.LocalPaymentReversed, "a-payment-id"),
        (KIND.Check, None),
        (KIND.AccountUpdaterDailyReport, None),
        (KIND.GrantorUpdatedGrantedPaymentMethod, None),
    ],
)
async def test_every_kind_of_braintrees_own_code_is_read(kind: str, resource: str | None) -> None:
    event = await event_of(CASE, posted(form(*sample(kind))))
    assert event.type == kind
    assert event.resource == (resource or event.resource)


ABOUT = {
    "<transaction><id>txn_1</id></transaction>": "txn_1",
    "<transaction><id>txn_2</id><refunded-transaction-id>txn_1</refunded-transaction-id></transaction>": "txn_1",
    '<transaction><id>txn_1</id><refunded-transaction-id nil="true"/></transaction>': "txn_1",
    "<dispute><id>dp_1</id><transaction><id> txn_1\n</id></transaction></dispute>": "txn_1",
    "<subscription><id>sub_1</id><transactions/></subscription>": "sub_1",
    "<local-payment><payment-id>lp_1</payment-id><transaction><id>txn_1</id></transaction></local-payment>": "txn_1",
    "<local-payment><payment-id>lp_1</payment-id></local-payment>": "lp_1",
    "<local-payment-expired><payment-id>lp_1</payment-id></local-payment-expired>": "lp_1",
    "<credit-card><token>t_1</token></credit-card>": "t_1",
    "<something-new><id></id></something-new>": None,
    "<check>true</check>": None,
    "": None,
}


@pytest.mark.parametrize("subject", ABOUT)
async def test_the_resource_is_the_payment_where_it_is_named(subject: str) -> None:
    signed = of_xml(f"<notification><kind>x</kind><subject>{subject}</subject></notification>")
    event = await event_of(CASE, signed)
    assert event.resource == (ABOUT[subject] or event.event_id)
    assert event.occurred_at is None


@pytest.mark.parametrize(
    ("kind", "resource"),
    [
        ("subscription_charged_successfully", "txn_2"),
        ("subscription_charged_unsuccessfully", "txn_2"),
        ("subscription_canceled", "sub_1"),
    ],
)
async def test_a_charge_of_a_subscription_is_about_its_newest_transaction(kind: str, resource: str) -> None:
    transactions = "".join(f"<transaction><id>{each}</id></transaction>" for each in ("txn_2", "txn_1"))
    subject = f"<subscription><id>sub_1</id><transactions>{transactions}</transactions></subscription>"
    signed = of_xml(f"<notification><kind>{kind}</kind><subject>{subject}</subject></notification>")
    assert (await event_of(CASE, signed)).resource == resource


async def test_a_form_that_lost_the_last_line_end_is_the_same_event() -> None:
    payload, signature = sample(KIND.TransactionSettled)
    whole = await event_of(CASE, posted(form(payload, signature)))
    cut = await event_of(CASE, posted(form(payload.removesuffix(b"\n"), signature)))
    assert cut.event_id == whole.event_id
    assert cut.body == whole.body
    assert await outcome_of(CASE, posted(form(payload + b"\n", signature))) == "mismatch"


async def test_the_name_of_a_pair_decides_which_secret_is_tried() -> None:
    payload, signature = sample(KIND.TransactionSettled)
    digest = signature.partition(b"|")[2]
    for name in (b"public_key_1", b"", b"PUBLIC_KEY_0"):
        with pytest.raises(SignatureError):
            await CASE.source(*CASE.secrets).authenticate(posted(form(payload, name + b"|" + digest)).request())


async def test_one_of_several_pairs_is_enough() -> None:
    payload, signature = sample(KIND.TransactionSettled)
    junk = b"public_key_0|" + b"0" * 40
    for signatures in (
        [junk + b"&" + signature],
        [signature + b"&x&|&||&" + junk],
        [b"\xff", signature],
        [signature, junk],
    ):
        assert await outcome_of(CASE, posted(form(payload, *signatures))) == "genuine"
    many = b"&".join([junk] * SIGNATURES_MAX)
    assert await outcome_of(CASE, posted(form(payload, many + b"&" + signature))) == "malformed"


async def test_a_form_needs_one_payload_and_a_signature() -> None:
    payload, signature = sample(KIND.TransactionSettled)
    genuine = form(payload, signature)
    for body, expected in {
        genuine + b"&x=y": "genuine",
        b"x&" + genuine: "genuine",
        genuine.replace(b"bt_payload", b"bt%5fpayload"): "genuine",
        genuine + b"&bt_payload=x": "malformed",
        genuine + b"&x" * FORM_FIELDS_MAX: "malformed",
        form(payload): "missing",
        form(payload, b""): "missing",
        b"bt_signature=" + signature: "missing",
        b"": "missing",
        b"\xff": "missing",
        b"&&=&": "missing",
        b"%": "missing",
        form(payload, signature.upper()): "mismatch",
        form(payload, signature).replace(b"%2B", b"+").replace(b"%3D", b"x"): "mismatch",
    }.items():
        assert await outcome_of(CASE, posted(body)) == expected, body[:60]


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]><notification><kind>&b;</kind></notification>'
OUTSIDE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]><notification><kind>&a;</kind></notification>'


@pytest.mark.parametrize(
    "xml",
    [
        BOMB,
        OUTSIDE,
        "<!DOCTYPE x><notification><kind>x</kind></notification>",
        '<?xml version="1.0" encoding="no-such"?><notification><kind>x</kind></notification>',
        '<?xml version="1.0" encoding="utf-16"?><notification><kind>x</kind></notification>',
        "<notification><kind>x</kind>",
        "<notification><kind></kind></notification>",
        "<notification/>",
        "<kind>x</kind>",
        "",
        "x",
        "<a>" * 100_000,
        f"<notification><kind>{'x' * 300}</kind></notification>",
    ],
    ids=range(13),
)
async def test_xml_that_is_not_a_notification_is_a_bad_payload(xml: str) -> None:
    with pytest.raises(PayloadError):
        await event_of(CASE, of_xml(xml))


async def test_xml_may_be_deep() -> None:
    deep = "<a>" * 50_000 + "</a>" * 50_000
    event = await event_of(CASE, of_xml(f"<notification><kind>x</kind><subject>{deep}</subject></notification>"))
    assert event.type == "x"


@pytest.mark.parametrize("payload", [b"", b"!", b"AAA", b"AAAA=AAAA", "é".encode(), b"\xff"])
async def test_a_signed_payload_that_is_not_base64_is_a_bad_payload(payload: bytes) -> None:
    digest = Crypto.sha1_hmac_hash(SECRET, payload)
    with pytest.raises(PayloadError):
        await event_of(CASE, posted(form(payload, f"public_key_0|{digest}".encode())))


@pytest.mark.parametrize(
    "public_keys",
    [(), ("a", "b"), ("",), ("a|b",), ("a&b",), ("a b",), ("é",), (5,), "a b", None],
)
def test_public_keys_that_do_not_match_the_secrets_stop_the_start(public_keys: object) -> None:
    with pytest.raises(ValidationError) as refused:
        CASE.source(public_key=public_keys)
    assert "public_key" in str(refused.value)


def test_a_public_key_is_not_listed_twice() -> None:
    with pytest.raises(ValidationError):
        CASE.source(*CASE.secrets[:2], public_key=("a", "a"))


@settings(deadline=None, max_examples=200)
@given(
    kind=st.sampled_from([KIND.TransactionSettled, KIND.Check]),
    secret=st.sampled_from(CASE.secrets[:2]),
    in_payload=st.booleans(),
    edit=st.tuples(
        st.integers(0, 60), st.integers(0, 3), st.sampled_from(["", "|", "&", "0", "A", "\n", "=", "public"])
    ),
)
async def test_braintrees_own_code_agrees(kind: str, secret: str, in_payload: bool, edit: tuple[int, int, str]) -> None:
    payload, _ = sample(kind)
    signature = sign(payload, secret).replace(b"public_key_1", b"public_key_0")
    start, length, inserted = edit
    if in_payload:
        payload = payload[:start] + inserted.encode() + payload[start + length :]
    else:
        signature = signature[:start] + inserted.encode() + signature[start + length :]
    try:
        sdk_gateway(SECRET).webhook_notification.parse(signature.decode(), payload)
        theirs = True
    except (SDK.exceptions.invalid_signature_error.InvalidSignatureError, ValueError):
        theirs = False  # pairs with two bars raise ValueError
    ours = await outcome_of(CASE, posted(form(payload, signature))) == "genuine"
    # Of several pairs of one name its library looks at the first only, and it fails on a pair with two bars.
    strict = signature.count(b"&") > 0 or signature.count(b"|") > 1
    assert ours == theirs or (strict and ours)
