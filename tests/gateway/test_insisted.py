"""Demands of some senders, over HTTP: a challenge by GET, an answer of their own, a signed query."""

from contextlib import AbstractAsyncContextManager

import pytest
from pytest_aiohttp import AiohttpClient
from redis.asyncio import Redis

from contract.event import from_fields
from contract.keys import Keys
from tests.support.cases.adyen import AdyenCase
from tests.support.cases.base import NOW, Case, Signed
from tests.support.cases.braintree import BraintreeCase
from tests.support.cases.mercadopago import MercadoPagoCase
from tests.support.cases.mollie_classic import MollieClassicCase
from tests.support.gateway import Answer, Running, entries, request, running, sources
from tests.support.servers import ValkeyServer

ADYEN, BRAINTREE, MERCADO_PAGO = AdyenCase(), BraintreeCase(), MercadoPagoCase()
CHALLENGE = "bt_challenge=20f9f8ed05f77439fe955c977e4c8a53"


def gateway_for(case: Case, valkey: ValkeyServer, key_prefix: str) -> AbstractAsyncContextManager[Running]:
    return running(valkey.url, key_prefix, providers=sources(a=case.source()), clock=lambda: NOW)


async def send(gateway: Running, signed: Signed) -> Answer:
    headers, body = signed.sent()
    return await gateway.exchange(request(signed.target, body, raw=b"".join(b"%b: %b\r\n" % each for each in headers)))


async def test_a_challenge_is_answered_and_nothing_else_by_get(
    valkey: ValkeyServer, key_prefix: str, aiohttp_client: AiohttpClient
) -> None:
    async with gateway_for(BRAINTREE, valkey, key_prefix) as gateway:
        answer = await gateway.get(f"/webhooks/a?{CHALLENGE}")
        assert (answer.status, answer.headers["content-type"]) == (200, "text/plain")
        assert answer.body.startswith(b"public_key_0|")
        for query in ("", "?", f"?{CHALLENGE}0", "?bt_challenge=bad%20challenge", f"?{CHALLENGE}&{CHALLENGE}"):
            refused = await gateway.get(f"/webhooks/a{query}")
            assert refused.status == 401, query
        other = await gateway.get(f"/webhooks/stripe?{CHALLENGE}")
        assert (other.status, other.headers["allow"]) == (405, "POST")
        put = await gateway.exchange(request("/webhooks/a", method="PUT"))
        assert (put.status, put.headers["allow"]) == (405, "GET, HEAD, POST")
        assert gateway.counted("rejected_total", source="a", reason="signature_malformed") == 5
        operators = await aiohttp_client(gateway.gateway.operators_application)
        document = (await (await operators.get("/openapi.json")).json())["paths"]
        assert set(document["/webhooks/a"]) == {"get", "post"}
        assert set(document["/webhooks/stripe"]) == {"post"}


@pytest.mark.parametrize("case", [ADYEN, BRAINTREE, MERCADO_PAGO], ids=lambda case: case.provider)
async def test_requests_that_are_not_signed_in_a_header_are_published(
    case: Case, valkey: ValkeyServer, key_prefix: str, redis: Redis, keys: Keys
) -> None:
    signed = case.signed()
    async with gateway_for(case, valkey, key_prefix) as gateway:
        answer = await send(gateway, signed)
        again = await send(gateway, signed)
        refused = await send(gateway, case.signed(case.secrets[1]))
    ((_, fields),) = await entries(redis, keys)
    event = from_fields(fields)
    assert (event.provider, event.signed) == (case.provider, case.covers)
    assert event.body == case.kept(signed.body)
    assert refused.status == 401
    if case is ADYEN:
        for each in (answer, again):
            assert (each.status, each.headers["content-type"], each.body) == (200, "text/plain", b"[accepted]")
    else:
        assert (answer.status, again.status) == (202, 200)
        assert answer.json()["event_id"] == again.json()["event_id"] == event.event_id


async def test_a_post_that_nobody_signed_needs_the_token_and_is_answered_200(
    valkey: ValkeyServer, key_prefix: str, redis: Redis, keys: Keys
) -> None:
    case = MollieClassicCase()
    providers = sources(a=case.source(posts_per_s_max=2))
    async with running(valkey.url, key_prefix, providers=providers, clock=lambda: NOW) as gateway:
        answers = [await send(gateway, case.deliver(f"id=tr_{number}")) for number in (1, 2, 3)]
        stranger = await send(gateway, case.deliver("id=tr_4", "x" * 32))
    assert [each.status for each in answers] == [200, 200, 503]
    assert (answers[0].body, stranger.status) == (b"", 401)
    assert "retry-after" in answers[2].headers
    assert [from_fields(fields).resource for _, fields in await entries(redis, keys)] == ["tr_1", "tr_2"]
