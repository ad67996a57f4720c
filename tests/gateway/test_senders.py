"""Unusual requests of some senders, over HTTP: batches, statuses of their own, replays under new ids."""

import json

from redis.asyncio import Redis

from contract.event import from_fields
from contract.keys import Keys
from providers.base import Provider
from tests.support.cases.base import Case, Signed
from tests.support.cases.raw_body import GoCardlessCase, RazorpayCase
from tests.support.gateway import Answer, Running, entries, request, running
from tests.support.servers import ValkeyServer

GOCARDLESS = GoCardlessCase()
RAZORPAY = RazorpayCase()


async def post(gateway: Running, signed: Signed) -> Answer:
    headers = {name.decode(): value.decode() for name, value in (*signed.headers, *signed.unsigned)}
    return await gateway.exchange(request(signed.target, signed.body, headers))


def only(case: Case) -> dict[str, Provider]:
    return {"a": case.source()}


async def test_a_batch_is_published_item_by_item(
    valkey: ValkeyServer, key_prefix: str, redis: Redis, keys: Keys
) -> None:
    (event,) = GOCARDLESS.event("x")["events"]
    body = json.dumps({"events": [event, {**event, "id": "EV2", "links": {"payment": "PM2"}}]}, indent=2)
    async with running(valkey.url, key_prefix, providers=only(GOCARDLESS)) as gateway:
        answer = await post(gateway, GOCARDLESS.deliver(body))
        again = await post(gateway, GOCARDLESS.deliver(body))
    assert (answer.status, again.status) == (202, 200)
    assert [each["event_id"] for each in answer.json()["events"]] == ["EV1", "EV2"]
    kept = [from_fields(fields) for _, fields in await entries(redis, keys)]
    assert {each.event_id: each.resource for each in kept} == {"EV1": "PM1", "EV2": "PM2"}
    assert all(json.loads(each.body)["id"] == each.event_id and each.body.decode() in body for each in kept)


async def test_gocardless_gets_498(valkey: ValkeyServer, key_prefix: str, redis: Redis, keys: Keys) -> None:
    async with running(valkey.url, key_prefix, providers=only(GOCARDLESS)) as gateway:
        assert (await post(gateway, GOCARDLESS.signed(GOCARDLESS.secrets[1]))).status == 498
    assert await redis.xlen(keys.events) == 0


async def test_a_captured_request_under_a_new_id_is_a_duplicate(
    valkey: ValkeyServer, key_prefix: str, redis: Redis, keys: Keys
) -> None:
    """Razorpay's id is in a header that is not signed; a retry and a replay are the same to us."""
    signed = RAZORPAY.signed()
    replayed = Signed(signed.headers, signed.body, ((b"x-razorpay-event-id", b"another"),))
    async with running(valkey.url, key_prefix, providers=only(RAZORPAY)) as gateway:
        answers = [await post(gateway, each) for each in (signed, signed, replayed)]
    assert [answer.status for answer in answers] == [202, 200, 200]
    assert await redis.xlen(keys.events) == 1
