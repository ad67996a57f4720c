"""Every provider over HTTP: a request signed by its own code is published and counted, any other is not."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from contract.event import from_fields
from contract.keys import Keys
from gateway.webhook import NOT_GENUINE
from tests.support.cases.base import NOW, Case, Signed
from tests.support.gateway import Answer, Running, entries, request, running
from tests.support.provider_cases import CASES
from tests.support.servers import ValkeyServer

every_provider = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


@asynccontextmanager
async def gateway_for(case: Case, valkey: ValkeyServer, key_prefix: str) -> AsyncIterator[Running]:
    """Return a source with all secrets of the case, as during a rotation."""
    source = case.source(*case.secrets)
    async with running(valkey.url, key_prefix, providers={"a": source}, clock=lambda: NOW) as gateway:
        yield gateway


async def send(gateway: Running, signed: Signed) -> Answer:
    headers, body = signed.sent()
    return await gateway.exchange(request(signed.target, body, raw=b"".join(b"%b: %b\r\n" % each for each in headers)))


@every_provider
async def test_a_genuine_event_is_in_the_stream_once(
    case: Case, valkey: ValkeyServer, key_prefix: str, redis: Redis, keys: Keys
) -> None:
    signed = case.signed(case.secrets[1])
    async with gateway_for(case, valkey, key_prefix) as gateway:
        first, again = await send(gateway, signed), await send(gateway, signed)
        verified = [gateway.counted("verified_total", source="a", secret=str(number)) for number in (1, 2, 3)]
    assert 200 <= first.status < 300, first
    assert again.status == 200
    assert verified == [0, 2, 0]
    ((_, fields),) = await entries(redis, keys)
    event, (delivery,) = from_fields(fields), await case.source(*case.secrets).verify(signed.request())
    assert event == delivery.event
    assert event.signed == case.covers
    if case.source().accepted is None:
        assert (first.status, first.json()["event_id"]) == (202, event.event_id)


@every_provider
async def test_anything_else_is_refused_counted_and_not_published(
    case: Case,
    valkey: ValkeyServer,
    key_prefix: str,
    redis: Redis,
    keys: Keys,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The source has one secret; the request is signed with another, or not at all."""
    signed, genuine = case.signed(case.secrets[1]), case.signed(case.secrets[0])
    source = case.source()
    async with running(valkey.url, key_prefix, providers={"a": source}, clock=lambda: NOW) as gateway:
        answers = [await send(gateway, each) for each in (signed, genuine.without_header(case.signature))]
        reasons = ("signature_mismatch", "signature_missing")
        refused = [gateway.counted("rejected_total", source="a", reason=reason) for reason in reasons]
        counted = gateway.metrics.render().decode()
    assert refused == [1, 1]
    for answer in answers:
        assert answer.status == source.unauthorized_status
        assert answer.json()["detail"] == NOT_GENUINE
    assert await entries(redis, keys) == []
    said = "".join([counted, *capsys.readouterr(), *(f"{answer.headers}{answer.body!r}" for answer in answers)])
    expected = dict(genuine.headers)[case.signature].decode()
    assert not any(hidden in said for hidden in (*case.secrets, expected, expected[-20:], "Café"))
