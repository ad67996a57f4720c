"""What waits for a person is said once, repeated now and then, and said to be over."""

import asyncio
import json
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
from aiohttp import web
from pydantic import SecretStr

from operations.notify import notifier as module
from operations.notify import receiver as sending
from operations.notify.notifier import Sent
from stack.ports import HOST, free_port
from tests.support.notifying import DELAY_S, REPEAT_S, Notifying
from tests.support.proxy import TcpProxy
from tests.support.receiver import NOTIFY_SECRET, Receiver, receiving
from tests.support.servers import PostgresServer
from tests.support.tls import write_certificate

DEAD_LETTERS = "waiting.dead_letters"
SECRETS = ("HUSH", "hush", NOTIFY_SECRET)


async def test_a_burst_is_one_message_that_is_repeated_and_at_last_resolved(
    notifying: Notifying, receiver: Receiver
) -> None:
    one = notifying.notifier(console_url="https://console.example.com/")
    await notifying.dies("1-0")
    assert await notifying.look(one) == Sent()
    await notifying.dies("2-0", "3-0")
    assert await notifying.look(one, DELAY_S) == Sent(delivered=1)
    await notifying.dies("4-0")
    assert await notifying.look(one, REPEAT_S - 1) == Sent()
    assert await notifying.look(one, 1) == Sent(delivered=1)
    await notifying.are_discarded()
    assert await notifying.look(one) == Sent()
    assert await notifying.look(one, DELAY_S) == Sent(delivered=1)
    assert await notifying.look(one, REPEAT_S) == Sent()
    assert receiver.heard == [(DEAD_LETTERS, "waiting", 3), (DEAD_LETTERS, "waiting", 4), (DEAD_LETTERS, "resolved", 0)]
    assert len(set(receiver.ids)) == 3


async def test_a_message_says_what_how_much_since_when_and_where_and_nothing_of_a_payload(
    notifying: Notifying, receiver: Receiver
) -> None:
    one = notifying.notifier(console_url="https://console.example.com/", notify_delay_s=0)
    await notifying.dies("1-0")
    await notifying.look(one)
    (message,) = receiver.messages
    assert datetime.fromisoformat(message["timestamp"]) - notifying.now < timedelta(seconds=1)
    assert datetime.fromisoformat(message["data"].pop("oldest_at")) <= datetime.now(UTC)
    assert message["data"] == {
        "state": "waiting",
        "count": 1,
        "at_least": False,
        "summary": "1 dead letter waits for a person.",
        "runbook": "docs/runbooks/WebhookDeadLettersOpen.md",
        "console_url": "https://console.example.com/dead",
    }
    assert "4242" not in json.dumps(message)


async def test_what_is_over_before_the_delay_is_not_mentioned(notifying: Notifying, receiver: Receiver) -> None:
    one = notifying.notifier()
    await notifying.dies("1-0")
    await notifying.look(one)
    await notifying.are_discarded()
    await notifying.look(one, DELAY_S - 1)
    await notifying.dies("2-0")
    await notifying.look(one, 2)
    assert receiver.ids == []


async def test_many_notifiers_send_each_message_once(notifying: Notifying, receiver: Receiver) -> None:
    await notifying.dies("1-0")
    notifiers = [notifying.notifier(notify_delay_s=0) for _ in range(4)]
    for _ in range(2):
        await asyncio.gather(*map(notifying.look, notifiers))
    await notifying.are_discarded()
    await asyncio.gather(*map(notifying.look, notifiers))
    assert receiver.heard == [(DEAD_LETTERS, "waiting", 1), (DEAD_LETTERS, "resolved", 0)]
    assert len(receiver.ids) == 2


async def test_a_notifier_does_not_wait_for_another_whose_receiver_is_slow(
    notifying: Notifying, receiver: Receiver
) -> None:
    receiver.gate.clear()
    await notifying.dies("1-0")
    slow = asyncio.create_task(notifying.look(notifying.notifier(notify_delay_s=0)))
    while not receiver.ids:
        await asyncio.wait([slow], timeout=0.01)
    assert await notifying.look(notifying.notifier(notify_delay_s=0)) == Sent()
    receiver.gate.set()
    assert await slow == Sent(delivered=1)
    assert len(receiver.ids) == 1


async def test_a_receiver_that_fails_gets_the_same_message_again(
    notifying: Notifying, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "TIMEOUT_S", 0.2)
    one = notifying.notifier(notify_delay_s=0)
    await notifying.dies("1-0")
    receiver.gate.clear()
    assert await notifying.look(one) == Sent(failed=1)
    assert await notifying.look(one) == Sent(), "not at once"
    receiver.gate.set()
    receiver.answer = lambda: web.Response(status=503)
    assert await notifying.look(one, 15) == Sent(failed=1)
    receiver.answer = lambda: web.Response(status=200, body=b"x" * 100_000)
    assert await notifying.look(one, 30) == Sent(delivered=1)
    assert len(receiver.ids) == 3
    assert len(set(receiver.ids)) == 1
    assert receiver.heard == [(DEAD_LETTERS, "waiting", 1)]


async def test_a_receiver_that_is_away_gets_the_message_once_it_is_back(
    notifying: Notifying, receiver: Receiver
) -> None:
    away = notifying.notifier(notify_url=f"http://{HOST}:{free_port()}/", notify_delay_s=0)
    await notifying.dies("1-0")
    assert await notifying.look(away) == Sent(failed=1)
    assert await notifying.look(notifying.notifier(notify_delay_s=0), 15) == Sent(delivered=1)
    assert receiver.heard == [(DEAD_LETTERS, "waiting", 1)]


@pytest.mark.parametrize("status", [302, 400, 401, 404, 410])
async def test_a_refusal_is_final_until_the_reminder(
    notifying: Notifying, receiver: Receiver, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    headers = {"Location": receiver.url.replace("T0HUSH", "elsewhere")}
    receiver.answer = lambda: web.Response(status=status, headers=headers)
    one = notifying.notifier(notify_delay_s=0)
    await notifying.dies("1-0")
    assert await notifying.look(one) == Sent(failed=1)
    assert await notifying.look(one, REPEAT_S - 1) == Sent()
    receiver.answer = lambda: web.Response(status=204)
    assert await notifying.look(one, 1) == Sent(delivered=1)
    assert len(receiver.ids) == 2
    said = capsys.readouterr()
    assert f"it answered {status}" in said.out + said.err
    assert not any(secret in said.out + said.err + repr(one) + repr(notifying.settings()) for secret in SECRETS)


async def test_a_certificate_that_nobody_vouches_for_is_not_trusted(
    notifying: Notifying, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = write_certificate(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(files["GATEWAY_TLS_CERT"], files["GATEWAY_TLS_KEY"])
    async with receiving(tls) as receiver:
        one = notifying.notifier(notify_url=receiver.url.replace(HOST, "localhost"), notify_delay_s=0)
        await notifying.dies("1-0")
        assert await notifying.look(one) == Sent(failed=1)
        assert receiver.ids == []
        monkeypatch.setenv("SSL_CERT_FILE", files["GATEWAY_TLS_CERT"])
        assert await notifying.look(one, 15) == Sent(delivered=1)


async def test_an_outage_of_postgres_is_said_without_postgres_and_resolved_by_it(
    notifying: Notifying, receiver: Receiver, postgres: PostgresServer
) -> None:
    async with TcpProxy(postgres.port) as proxy:
        url = SecretStr(proxy.url(notifying.workers.database_url.get_secret_value()))
        through = notifying.workers.model_copy(update={"database_url": url})
        one, other = notifying.notifier(through), notifying.notifier()
        assert await notifying.look(one) == Sent()
        await proxy.refuse()
        proxy.cut()
        assert await notifying.look(one) == Sent()
        assert await notifying.look(one, DELAY_S) == Sent(delivered=1)
        assert await notifying.look(one, REPEAT_S - 1) == Sent()
        await proxy.start()
        assert await notifying.look(one) == Sent()
        assert await notifying.look(other, DELAY_S) == Sent(delivered=1)
        assert await notifying.look(one) == Sent()
    assert receiver.heard == [
        ("waiting.postgres_unreachable", "waiting", 1),
        ("waiting.postgres_unreachable", "resolved", 0),
    ]


async def test_a_message_of_before_an_outage_of_postgres_is_sent_in_it_and_once(
    notifying: Notifying, receiver: Receiver, postgres: PostgresServer
) -> None:
    async with TcpProxy(postgres.port) as proxy:
        url = SecretStr(proxy.url(notifying.workers.database_url.get_secret_value()))
        one = notifying.notifier(notifying.workers.model_copy(update={"database_url": url}), notify_delay_s=0)
        await notifying.dies("1-0")
        receiver.answer = lambda: web.Response(status=500)
        assert await notifying.look(one) == Sent(failed=1)
        await proxy.refuse()
        proxy.cut()
        receiver.answer = lambda: web.Response(status=204)
        assert await notifying.look(one, 15) == Sent(delivered=2)
        await proxy.start()
        await notifying.look(one)
    assert sorted(receiver.heard) == [
        (DEAD_LETTERS, "waiting", 1),
        ("waiting.postgres_unreachable", "resolved", 0),
        ("waiting.postgres_unreachable", "waiting", 1),
    ]


async def test_one_look_that_fails_does_not_end_the_notifier(
    notifying: Notifying, receiver: Receiver, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EVERY_S", 0.02)
    await connection.execute("ALTER TABLE notifications RENAME COLUMN attempts TO tries")
    await notifying.dies("1-0")
    task = asyncio.create_task(notifying.notifier(notify_delay_s=0).run())
    while not receiver.ids:
        await asyncio.wait([task], timeout=0.02)
    await connection.execute("ALTER TABLE notifications RENAME COLUMN tries TO attempts")
    while (DEAD_LETTERS, "waiting", 1) not in receiver.heard:
        await asyncio.wait([task], timeout=0.02)
    task.cancel()
    await asyncio.wait([task])
    assert receiver.heard[0] == ("waiting.postgres_unreachable", "waiting", 1)
