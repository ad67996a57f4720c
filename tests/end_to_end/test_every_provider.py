"""Every provider's genuine request, from the HTTP route to its row: what is in `events` and `payloads` in the end."""

import asyncpg
import pytest
from redis.asyncio import Redis

from contract.keys import Keys
from tests.support.cases.base import NOW, Case
from tests.support.consuming import Workers
from tests.support.database import as_worker
from tests.support.gateway import request, running
from tests.support.provider_cases import CASES
from tests.support.servers import ValkeyServer
from tests.support.stream_states import Stream, settings_for

SOURCE = "a"
NAMESPACE = "of-the-source"


@pytest.fixture
def workers(
    valkey: ValkeyServer, redis: Redis, keys: Keys, key_prefix: str, database_url: str, connection: asyncpg.Connection
) -> Workers:
    """Workers on both servers, within this process."""
    return Workers(Stream(redis, keys), connection, settings_for(valkey.url, as_worker(database_url), key_prefix))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_the_row_says_what_the_provider_said(
    case: Case, workers: Workers, valkey: ValkeyServer, key_prefix: str
) -> None:
    signed = case.signed()
    headers, body = signed.sent()
    sent = request(signed.target, body, raw=b"".join(b"%b: %b\r\n" % each for each in headers))
    source = case.source(namespace=NAMESPACE)
    async with running(valkey.url, key_prefix, providers={SOURCE: source}, clock=lambda: NOW) as gateway:
        answer = await gateway.exchange(sent)
    assert 200 <= answer.status < 300, answer
    async with workers.working():
        await workers.drained()
    expected, event_id = case.expected, case.expected_id(signed.body)
    assert await workers.row(
        "SELECT namespace, event_id, source, provider, type, resource, signed, occurred_at, received_at FROM events"
    ) == (
        NAMESPACE,
        event_id,
        SOURCE,
        case.provider,
        expected.type,
        expected.resource,
        case.covers,
        expected.occurred_at,
        NOW,
    )
    assert await workers.row("SELECT namespace, event_id, received_at, body FROM payloads") == (
        NAMESPACE,
        event_id,
        NOW,
        case.expected_payload(signed),
    )
    await workers.assert_all_acked()
