"""A PayPal source with credentials books its money untrusted; a forged body with a genuine CRC-32 books nothing."""

import json
from collections.abc import AsyncIterator

import asyncpg
import pytest
from redis.asyncio import Redis

from consumers.confirmation import asker
from consumers.confirmation.access import Access
from consumers.handlers.payments import builtin
from contract.keys import Keys
from providers.oauth import ClientAccess
from providers.paypal.api import PayPalApi
from tests.support.cases.base import NOW
from tests.support.cases.public_keys import PayPalCase
from tests.support.consuming import Workers
from tests.support.database import as_worker
from tests.support.forged_crc import with_the_same_crc
from tests.support.gateway import request, running
from tests.support.servers import ValkeyServer
from tests.support.stand_ins.paypal import CLIENT_ID, CLIENT_SECRET, PayPal
from tests.support.stream_states import Stream, settings_for
from tests.support.wait import until

CASE = PayPalCase()
SOURCE = "a"
CAPTURE = "2GG279541U471931P"


@pytest.fixture
def workers(
    valkey: ValkeyServer, redis: Redis, keys: Keys, key_prefix: str, database_url: str, connection: asyncpg.Connection
) -> Workers:
    return Workers(Stream(redis, keys), connection, settings_for(valkey.url, as_worker(database_url), key_prefix))


@pytest.fixture
async def paypal() -> AsyncIterator[PayPal]:
    async with PayPal().serving() as server:
        server.has_capture(CAPTURE, "10.99")
        yield server


@pytest.mark.parametrize(("is_forged", "state"), [(False, "confirmed"), (True, "disagrees")])
async def test_only_what_paypal_itself_says_is_booked(
    workers: Workers, valkey: ValkeyServer, key_prefix: str, paypal: PayPal, monkeypatch: pytest.MonkeyPatch,
    is_forged: bool, state: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(asker, "LOOK_EVERY_S", 0.05)
    signed = CASE.signed()
    if is_forged:
        event = json.loads(signed.body)
        event["resource"]["amount"]["value"] = "10990.00"
        signed = signed.with_body(with_the_same_crc(json.dumps(event).encode(), signed.body))
    headers, body = signed.sent()
    sent = request(f"/webhooks/{SOURCE}", body, raw=b"".join(b"%b: %b\r\n" % each for each in headers))
    async with running(valkey.url, key_prefix, providers={SOURCE: CASE.source()}, clock=lambda: NOW) as gateway:
        assert (await gateway.exchange(sent)).status == 202
    settings = {"source": SOURCE, "namespace": SOURCE, "api_url": paypal.url}
    api = PayPalApi(ClientAccess.model_validate({**settings, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}))

    async def is_decided() -> bool:
        return await workers.rows("SELECT state FROM confirmations") == [(state,)]

    access = Access({SOURCE: api})
    async with workers.working(builtin({}, access.asked), access=access, confirm_lag_s=0):
        await workers.drained()
        await until(is_decided, what=f"it is {state}")
    booked = [] if is_forged else [(f"capture:{CAPTURE}", 1099, "USD")]
    assert await workers.rows("SELECT movement, amount, currency FROM transfers") == booked
    await workers.assert_all_acked()
