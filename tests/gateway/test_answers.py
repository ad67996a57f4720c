"""One test for each row of the HTTP table."""

import asyncio
import gzip
from datetime import UTC, datetime

import pytest
from redis.asyncio import Redis

from contract.event import from_fields
from contract.keys import COMMITTED, Keys
from gateway.webhook import NOT_GENUINE
from providers.base import Answer as Insisted
from tests.support.events import hmac_event, signed_hmac, signed_stripe, stripe_event
from tests.support.gateway import Answer, Running, entries, payment, provider, request, running, sources
from tests.support.multi_event import KEY, MultiEvent, multi_event
from tests.support.servers import ValkeyServer
from tests.support.wait import until

PROBLEM = "application/problem+json"


def is_problem(answer: Answer, status: int) -> bool:
    assert answer.status == status, answer
    assert answer.headers["content-type"] == PROBLEM
    body = answer.json()
    assert set(body) == {"type", "title", "status", "detail"}
    assert body["status"] == status
    return True


async def test_202_a_new_event_is_in_the_stream(gateway: Running, redis: Redis, keys: Keys) -> None:
    signed = signed_stripe(stripe_event("evt_1", "pi_1"))
    answer = await gateway.post(signed, traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01")
    (entry_id, fields), *others = await entries(redis, keys)
    assert not others
    assert answer.status == 202
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "status": "accepted", "event_id": "evt_1", "entry_id": entry_id.decode(), "durability": "fsync",
    }  # fmt: skip
    event = from_fields(fields)
    assert event.body == signed.body
    assert (event.source, event.namespace, event.provider) == ("stripe", "stripe", "stripe")
    assert (event.event_id, event.type, event.resource) == ("evt_1", "payment_intent.succeeded", "pi_1")
    assert event.signed == "body"
    assert event.traceparent.startswith("00-aaaa")
    assert abs((event.received_at - datetime.now(UTC)).total_seconds()) < 60


async def test_200_the_same_event_again(gateway: Running, redis: Redis, keys: Keys) -> None:
    assert (await gateway.post(payment())).status == 202
    again = await gateway.post(payment())
    assert (again.status, again.json()) == (200, {"status": "duplicate", "event_id": "tx_1:COMPLETED"})
    assert await redis.xlen(keys.events) == 1
    assert gateway.counted("duplicates_total", source="default") == 1


async def test_200_an_event_that_is_committed_already(gateway: Running, redis: Redis, keys: Keys) -> None:
    await redis.set(keys.seen("default", "tx_1:COMPLETED"), COMMITTED)
    assert (await gateway.post(payment())).status == 200
    assert await redis.xlen(keys.events) == 0


async def test_201_the_sender_waits_for_the_commit(gateway: Running, redis: Redis, keys: Keys) -> None:
    marker = keys.seen("default", "tx_1:COMPLETED")
    posting = asyncio.create_task(gateway.post(payment(), Prefer="respond-async, wait=20"))
    await until(lambda: redis.exists(marker), what="the event is published")
    assert not posting.done()
    await redis.set(marker, COMMITTED, keepttl=True)
    answer = await posting
    assert answer.status == 201
    assert answer.json()["status"] == "committed"
    assert answer.headers["preference-applied"] == "wait=20"


async def test_202_when_the_commit_does_not_come_in_time(valkey: ValkeyServer, key_prefix: str) -> None:
    async with running(valkey.url, key_prefix, prefer_wait_s_max=0.05) as gateway:
        answer = await gateway.post(payment(), Prefer="wait=20")
    assert (answer.status, answer.json()["status"]) == (202, "accepted")


async def test_202_at_once_when_the_event_went_to_the_dead_letters(gateway: Running, redis: Redis, keys: Keys) -> None:
    marker = keys.seen("default", "tx_1:COMPLETED")
    posting = asyncio.create_task(gateway.post(payment(), Prefer="wait=20"))
    await until(lambda: redis.exists(marker), what="the event is published")
    await redis.delete(marker)
    assert (await posting).status == 202


async def test_400_for_a_genuine_body_that_is_not_as_documented(gateway: Running, redis: Redis, keys: Keys) -> None:
    answer = await gateway.post(signed_hmac(hmac_event("tx", amount="a lot")))
    assert is_problem(answer, 400)
    assert "a lot" not in answer.body.decode()
    assert not await redis.exists(keys.events)


async def test_202_for_an_unknown_event_type(gateway: Running) -> None:
    assert (await gateway.post(signed_stripe(stripe_event("evt_1", "pi_1", "mystery.happened")))).status == 202


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Signature": ""},
        {"X-Signature": "0" * 64},
        {"X-Signature": "not hex"},
        {"X-Signature": "\xff\xfe"},
    ],
)  # fmt: skip
async def test_401_has_one_text_for_every_reason(gateway: Running, headers: dict[str, str]) -> None:
    answer = await gateway.exchange(request("/webhook", payment().body, headers))
    assert is_problem(answer, 401)
    assert answer.json()["detail"] == NOT_GENUINE
    assert gateway.counted("rejected_total", source="default") == 1


async def test_401_does_not_say_that_a_signature_is_stale(gateway: Running) -> None:
    answer = await gateway.post(signed_stripe(stripe_event("evt_1", "pi_1"), timestamp=1_000_000_000))
    assert is_problem(answer, 401)
    assert answer.json()["detail"] == NOT_GENUINE
    assert gateway.counted("rejected_total", reason="signature_stale") == 1


@pytest.mark.parametrize("path", ["/webhooks/unknown", "/webhooks/", "/webhooks/stripe/", "/", "/webhook%00"])
async def test_404_no_such_source(gateway: Running, path: str) -> None:
    assert is_problem(await gateway.exchange(request(path, b"{}")), 404)
    assert gateway.counted("requests_total", source="-", status="404") == 1


async def test_a_path_may_be_written_in_full_or_with_a_query(gateway: Running) -> None:
    signed = payment()
    for path in ("http://gateway/webhook", "/webhook?x=1", "/%77ebhook"):
        assert (await gateway.exchange(request(path, signed.body, signed.headers))).status in (200, 202)


async def test_405_not_post(gateway: Running) -> None:
    for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"):
        async with await gateway.client() as client:
            await client.send(request("/webhook", method=method))
            if method == "HEAD":
                assert b" 405 " in await client.reader.readuntil(b"\r\n")
                continue
            answer = await client.answer()
            assert is_problem(answer, 405)
            assert answer.headers["allow"] == "POST"


async def test_413_is_answered_before_a_large_body_is_read(valkey: ValkeyServer, key_prefix: str) -> None:
    async with running(valkey.url, key_prefix, body_bytes_max=2048) as gateway, await gateway.client() as client:
        await client.send(b"POST /webhook HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n")
        assert is_problem(await client.answer(), 413)


async def test_413_a_chunked_body_is_cut_while_it_is_read(valkey: ValkeyServer, key_prefix: str) -> None:
    chunk = b"400\r\n" + b"x" * 1024 + b"\r\n"
    async with running(valkey.url, key_prefix, body_bytes_max=2048) as gateway, await gateway.client() as client:
        await client.send(b"POST /webhook HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk)
        await client.send(chunk * 3)
        assert is_problem(await client.answer(), 413)


async def test_the_largest_body_is_accepted_whole_or_chunked(valkey: ValkeyServer, key_prefix: str) -> None:
    signed = payment(note="x" * 300_000)
    async with running(valkey.url, key_prefix, body_bytes_max=len(signed.body)) as gateway:
        assert (await gateway.post(signed)).status == 202
        headers = "".join(f"{name}: {value}\r\n" for name, value in signed.headers.items()).encode()
        pieces = [signed.body[at : at + 9000] for at in range(0, len(signed.body), 9000)]
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
        head = b"POST /webhook HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n" + headers + b"\r\n"
        assert (await gateway.exchange(head + chunks)).status == 200


async def test_415_a_compressed_body_is_not_unpacked(gateway: Running) -> None:
    signed = payment()
    headers = {**signed.headers, "Content-Encoding": "gzip"}
    answer = await gateway.exchange(request("/webhook", gzip.compress(signed.body), headers))
    assert is_problem(answer, 415)
    assert answer.headers["accept-encoding"] == "identity"
    assert (await gateway.post(signed, **{"Content-Encoding": "identity"})).status == 202


async def test_429_the_backlog_limit(valkey: ValkeyServer, key_prefix: str, redis: Redis, keys: Keys) -> None:
    async with running(valkey.url, key_prefix, backlog_limit=2, retry_after_s=7) as gateway:
        assert [(await gateway.post(payment(number))).status for number in (1, 2, 3, 1)] == [202, 202, 429, 200]
        answer = await gateway.post(payment(4))
        assert is_problem(answer, 429)
        assert answer.headers["retry-after"] == "7"
        (entry_id, _), *_ = await entries(redis, keys)
        await redis.xdel(keys.events, entry_id)
        assert (await gateway.post(payment(4))).status == 202


async def test_503_without_redis(key_prefix: str) -> None:
    async with running("redis://127.0.0.1:1/0", key_prefix, retry_after_s=9) as gateway:
        answer = await gateway.post(payment())
        assert is_problem(answer, 503)
        assert answer.headers["retry-after"] == "9"
        ready = await gateway.get("/readyz")
        assert (ready.status, ready.json()["ready"]) == (503, False)
        assert "Redis cannot be reached" in ready.json()["reason"]
        assert (await gateway.get("/healthz")).status == 200
        assert (await gateway.exchange(request("/webhook", b"{}"))).status == 401


async def test_two_sources_with_one_namespace_are_one(valkey: ValkeyServer, key_prefix: str) -> None:
    old = provider("old", "hmac", "the old secret", namespace="acme")
    new = provider("new", "hmac", "the new secret", "the newest secret", namespace="acme")
    event = hmac_event("tx_1")
    async with running(valkey.url, key_prefix, providers={"old": old, "new": new}) as gateway:
        first = await gateway.post(signed_hmac(event, secret="the old secret", path="/webhooks/old"))
        second = await gateway.post(signed_hmac(event, secret="the newest secret", path="/webhooks/new"))
        assert (first.status, second.status) == (202, 200)
        assert gateway.counted("verified_total", source="new", secret="2") == 1
        assert is_problem(await gateway.exchange(request("/webhook", b"{}")), 404)


class Insisting(MultiEvent):
    accepted = Insisted(200, "text/plain", b"[accepted]")
    unauthorized_status = 498


async def test_several_events_in_one_request(valkey: ValkeyServer, key_prefix: str, redis: Redis, keys: Keys) -> None:
    async with running(valkey.url, key_prefix, providers=sources(several=multi_event())) as gateway:
        first = await gateway.exchange(request("/webhooks/several", b'["a", "b"]', KEY))
        assert first.status == 202
        assert [each["status"] for each in first.json()["events"]] == ["accepted", "accepted"]
        second = await gateway.exchange(request("/webhooks/several", b'["b", "c"]', KEY))
        assert second.status == 202
        assert [each["status"] for each in second.json()["events"]] == ["duplicate", "accepted"]
        third = await gateway.exchange(request("/webhooks/several", b'["c", "a", "b"]', KEY))
        assert third.status == 200
        assert await redis.xlen(keys.events) == 3
        none = await gateway.exchange(request("/webhooks/several", b"[]", KEY))
        assert (none.status, none.json()) == (200, {"status": "accepted", "events": []})


async def test_several_events_are_all_durable_or_the_sender_retries(
    valkey: ValkeyServer, key_prefix: str, redis: Redis, keys: Keys
) -> None:
    async with running(valkey.url, key_prefix, providers=sources(several=multi_event()), backlog_limit=2) as gateway:
        assert is_problem(await gateway.exchange(request("/webhooks/several", b'["a", "b", "c"]', KEY)), 429)
        for entry_id, _ in await entries(redis, keys):
            await redis.xdel(keys.events, entry_id)
        for name in ("a", "b"):
            await redis.set(keys.seen("several", name), COMMITTED)
        retried = await gateway.exchange(request("/webhooks/several", b'["a", "b", "c"]', KEY))
        assert [each["status"] for each in retried.json()["events"]] == ["duplicate", "duplicate", "accepted"]


async def test_a_provider_may_insist_on_its_own_answers(valkey: ValkeyServer, key_prefix: str) -> None:
    async with running(valkey.url, key_prefix, providers=sources(several=multi_event(Insisting))) as gateway:
        answer = await gateway.exchange(request("/webhooks/several", b'["a"]', KEY))
        assert (answer.status, answer.headers["content-type"], answer.body) == (200, "text/plain", b"[accepted]")
        assert (await gateway.exchange(request("/webhooks/several", b'["a"]'))).status == 498


async def test_503_a_bug_asks_the_sender_to_retry(
    valkey: ValkeyServer, key_prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(valkey.url, key_prefix, providers=sources(several=multi_event())) as gateway:
        answer = await gateway.exchange(request("/webhooks/several", b'"bug"', KEY))
        assert is_problem(answer, 503)
        assert "retry-after" in answer.headers
        assert gateway.counted("internal_errors_total") == 1
    assert "nobody thought" not in answer.body.decode()
    assert not [record for record in caplog.records if record.name == "aiohttp.server"]


async def test_an_event_sent_many_times_at_once_is_accepted_once(gateway: Running, redis: Redis, keys: Keys) -> None:
    answers = await asyncio.gather(*(gateway.post(payment()) for _ in range(200)))
    assert sorted(answer.status for answer in answers) == [200] * 199 + [202]
    assert await redis.xlen(keys.events) == 1
