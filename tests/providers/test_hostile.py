"""A stranger's bytes are refused before anything is built of them, whatever the provider. A benchmark has the costs."""

import asyncio
import json
import threading
import time
import tracemalloc

import pytest

from providers import signing
from providers.adyen.signed_items import read_signed
from providers.base import SignatureError, UnavailableError
from providers.off_loop import ON_LOOP_BYTES_MAX, WAITING_MAX, OffLoop
from providers.payload import BATCH_EVENTS_MAX
from tests.support.cases.adyen import AdyenCase
from tests.support.cases.base import Case, Signed
from tests.support.conformance import every_provider
from tests.support.hostile import BODIES, MIB, Hostile, hostile_requests
from tests.support.provider_cases import CASES
from tests.support.verification import outcome_of

BYTES_PER_BYTE = 16
"""Memory in use at once, for each byte of a hostile request: some copies of it. A tree of its JSON takes 22 to 60."""


async def refused(case: Case, hostile: Hostile) -> None:
    with pytest.raises(SignatureError):
        await case.source().authenticate(hostile.request)


@every_provider
async def test_nothing_is_built_of_a_body_that_nobody_signed(case: Case) -> None:
    for hostile in hostile_requests(case, (MIB // 4,)):
        size = len(hostile.request.body)
        if case.covers == "reference" or size < MIB // 8:
            continue  # the body is not signed, and not read before the signature is proven; or a header is hostile
        tracemalloc.start()
        try:
            await refused(case, hostile)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < BYTES_PER_BYTE * size, hostile.what


@every_provider
async def test_a_header_or_query_of_thousands_of_items_is_refused(case: Case) -> None:
    for hostile in hostile_requests(case, ()):
        if hostile.what.startswith("a query") and case.provider not in ("mercadopago", "mollie_classic"):
            continue  # it reads no query
        if hostile.what.endswith("with b' '") and case.covers == "reference":
            continue  # white space around a signature is accepted, and the body is not signed
        await refused(case, hostile)


def test_a_digest_is_computed_once_per_key_however_many_signatures_come() -> None:
    computed: list[bytes] = []

    def mac(key: bytes, message: bytes) -> bytes:
        computed.append(key)
        return signing.hmac_sha256(key, message)

    signatures = [b"%064d" % number for number in range(signing.HEADER_ITEMS_MAX)]
    with pytest.raises(SignatureError, match="no secret"):
        signing.signing_key([b"a", b"b"], b"body", signatures, signing.lower_hex, signing.upper_hex, mac=mac)
    assert computed == [b"a", b"b"]
    with pytest.raises(SignatureError, match="more than"):
        signing.signing_key([b"a", b"b"], b"body", [*signatures, b"0"], signing.lower_hex, mac=mac)
    assert computed == [b"a", b"b"]


def test_items_of_a_header_are_limited_while_it_is_cut() -> None:
    most = b",".join([b"a"] * signing.HEADER_ITEMS_MAX)
    assert signing.header_items([most], b",") == [b"a"] * signing.HEADER_ITEMS_MAX
    for values in ([b"a," + b" " * signing.HEADER_BYTES_MAX], [b"v1=a" + b" " * 5000] * 2):
        with pytest.raises(SignatureError, match="more than 8192 bytes"):
            signing.header_items(values, b",")
    for values in ([most, b"a"], [most + b","], [b"a"] * (signing.HEADER_ITEMS_MAX + 1), [b"," * 8000]):
        with pytest.raises(SignatureError, match="more than"):
            signing.header_items(values, b",")


def test_adyens_items_are_counted_before_one_is_read() -> None:
    item = b'{"NotificationRequestItem":{"pspReference":"1","eventCode":"A","success":"true"}}'
    most = b'{"notificationItems":[%b]}' % b",".join([item] * BATCH_EVENTS_MAX)
    batch = read_signed(most)
    assert batch is not None
    assert batch.texts() == [item] * len(batch.items) == [item] * BATCH_EVENTS_MAX
    with pytest.raises(SignatureError, match="more than 1000 items"):
        read_signed(b'{"notificationItems":[5,%b]}' % b",".join([item] * (BATCH_EVENTS_MAX + 1)))


def test_adyens_items_are_counted_also_where_their_name_is_escaped() -> None:
    item = b'{"NotificationRequest\\u0049tem":{"pspReference":"1","eventCode":"A","success":"true"}}'
    assert read_signed(b'{"notificationItems":[%b]}' % b",".join([item] * BATCH_EVENTS_MAX)) is not None
    with pytest.raises(SignatureError, match="more than 1000 items"):
        read_signed(b'{"notificationItems":[%b]}' % b",".join([item] * (BATCH_EVENTS_MAX + 1)))


@pytest.mark.parametrize("value", [b"9" * 4000, b"1e999999", b"1.0", b'"1"', b"10" + b"0" * 18, b"[1]"])
def test_an_amount_of_adyen_that_is_no_number_of_usual_length_is_refused(value: bytes) -> None:
    text = b'{"notificationItems":[{"NotificationRequestItem":{"pspReference":"1","eventCode":"A","success":"true",'
    batch = read_signed(text + b'"amount":{"value":%b,"currency":"EUR"}}}]}' % value)
    assert batch is not None
    with pytest.raises(SignatureError, match="value of an amount"):
        batch.items[0].message()


async def test_a_signature_of_another_length_than_the_keys_is_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(OffLoop, "run", run)
    for case in (CASES["truelayer"], CASES["wise"], CASES["paypal"]):
        signed = case.signed()
        (value,) = [value for name, value in signed.headers if name == case.signature]
        for other in (value[:-4], value + b"AAAA", value[:-4] + b"\xff" * 4):
            headers = [(name, value) for name, value in signed.headers if name != case.signature]
            request = signed.with_headers([*headers, *[(case.signature, other)] * 2]).request()
            with pytest.raises(SignatureError):
                await case.source().authenticate(request)


async def test_a_long_adyen_body_is_read_in_the_thread_of_its_source() -> None:
    case = AdyenCase()
    source = case.source()

    def threads() -> list[str]:
        return [thread.name for thread in threading.enumerate() if thread.name.startswith("verify-a")]

    before = len(threads())
    signed = case.deliver(case.write(case.event("x")))
    assert await source.verify(signed.request())
    assert len(threads()) == before
    event = case.event("x")
    event["notificationItems"][0]["NotificationRequestItem"]["reason"] = "x" * ON_LOOP_BYTES_MAX
    assert await source.verify(case.deliver(case.write(event)).request())
    assert len(threads()) == before + 1


async def test_what_waits_for_a_sources_thread_is_limited() -> None:
    off_loop, gate = OffLoop("a"), threading.Event()
    waiting = [asyncio.create_task(off_loop.run(gate.wait)) for _ in range(WAITING_MAX + 1)]
    (refused,), others = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    assert isinstance(refused.exception(), UnavailableError)
    gate.set()
    assert await asyncio.gather(*others) == [True] * WAITING_MAX
    assert await off_loop.run(int) == 0


@pytest.mark.parametrize("name", BODIES)
async def test_a_hostile_adyen_body_of_a_mebibyte_does_not_stop_the_loop(name: str) -> None:
    """Before, some took half a second of it. The bound here is generous: neighbours of a test take time too."""
    source, signed = AdyenCase().source(), Signed([], BODIES[name](MIB))
    started = time.thread_time()
    with pytest.raises(SignatureError):
        await source.authenticate(signed.request())
    assert time.thread_time() - started < 0.02


async def test_an_item_that_its_two_readers_read_apart_is_refused() -> None:
    """The signature is checked on what one reader reads, and workers use another: they must agree on each item."""
    case = AdyenCase()
    signed = case.deliver(case.write(case.event("x")))
    _, body = signed.sent()
    item = json.loads(body)["notificationItems"][0]["NotificationRequestItem"]
    doubled = body.replace(b'"amount":', b'"amount": {"value": 1, "currency": "USD"}, "amount":')
    assert doubled != body
    assert await outcome_of(case, Signed([], doubled)) == "genuine"
    (delivery,) = await case.source().verify(Signed([], doubled).request())
    assert item["pspReference"] in delivery.event.event_id
    behind = body.replace(b'"success": "true"', b'"success": "true", "amount": {"value": 1, "currency": "USD"}')
    assert await outcome_of(case, Signed([], behind)) == "mismatch"
