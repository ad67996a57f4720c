"""The notifier as a program, alone and within the console, and our own gateway as its receiver."""

import signal

import pytest
from redis.asyncio import Redis

from consumers.settings import Settings
from contract.keys import Keys
from operations.notify.notifier import Sent
from stack.ports import HOST, free_port
from tests.support.gateway import entries, provider, running, sources
from tests.support.notifying import Notifying
from tests.support.processes import Programs
from tests.support.receiver import NOTIFY_SECRET, Receiver
from tests.support.servers import ValkeyServer
from tests.support.wait import until

SECRETS = ("HUSH", "hush", NOTIFY_SECRET.removeprefix("whsec_"))


@pytest.fixture
def env(settings: Settings, receiver: Receiver) -> dict[str, str]:
    """What the programs need to notify the receiver."""
    return {
        "REDIS_URL": settings.redis_url.get_secret_value(),
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "KEY_PREFIX": settings.key_prefix,
        "NOTIFY_URL": receiver.url,
        "NOTIFY_SECRET": NOTIFY_SECRET,
        "NOTIFY_DELAY_S": "0",
    }


async def test_a_message_whose_sender_was_killed_before_it_was_noted_comes_again_with_its_id(
    programs: Programs, env: dict[str, str], notifying: Notifying, receiver: Receiver
) -> None:
    await notifying.dies("1-0")
    receiver.gate.clear()
    first = programs.start("operations", env, ("notify",))
    await until(lambda: receiver.ids, what="a message arrives")
    first.signal(signal.SIGKILL)
    first.wait()
    receiver.gate.set()
    assert (await programs.run("operations", env, "notify", "--once"))[:2] == (0, "")
    assert len(receiver.ids) == 2
    assert len(set(receiver.ids)) == 1
    await notifying.are_discarded()
    env["NOTIFY_URL"] = f"http://{HOST}:{free_port()}/HUSH?hush=1"
    code, _, errors = await programs.run("operations", env, "notify", "--once")
    assert code == 1
    assert "a notification was not delivered" in errors
    assert not any(secret in errors + first.log for secret in SECRETS)


async def test_the_console_notifies_and_ends_with_sigterm(
    programs: Programs, env: dict[str, str], notifying: Notifying, receiver: Receiver
) -> None:
    await notifying.dies("1-0")
    console = programs.start("operations", env | {"CONSOLE_PORT": str(free_port())}, ("console",))
    await until(lambda: receiver.heard == [("waiting.dead_letters", "waiting", 1)], what="the console notifies")
    assert console.stop() == 0
    assert "a notification was delivered" in console.log
    assert not any(secret in console.log for secret in SECRETS)
    del env["NOTIFY_SECRET"]
    console = programs.start("operations", env | {"CONSOLE_PORT": str(free_port())}, ("console",))
    await until(lambda: "the console answers" in console.log, what="a mistake takes nobody's console away")
    assert "nobody is notified of what waits for a person" in console.log
    assert "NOTIFY_SECRET: it is not set" in console.log
    assert console.stop() == 0


async def test_notify_needs_somebody_to_notify(programs: Programs, env: dict[str, str]) -> None:
    env["NOTIFY_URL"] = ""
    code, _, errors = await programs.run("operations", env, "notify")
    assert (code, errors) == (2, "NOTIFY_URL is not set, so there is nobody to notify.\n")


async def test_our_own_gateway_accepts_what_we_send(
    notifying: Notifying, valkey: ValkeyServer, key_prefix: str, redis: Redis, keys: Keys
) -> None:
    await notifying.dies("1-0")
    others = sources(alerts=provider("alerts", "standard_webhooks", NOTIFY_SECRET))
    async with running(valkey.url, key_prefix, providers=others) as gateway:
        url = f"http://{HOST}:{gateway.port}/webhooks/alerts"
        assert await notifying.look(notifying.notifier(notify_url=url, notify_delay_s=0)) == Sent(delivered=1)
        wrong = notifying.notifier(notify_url=url, notify_secret=f"whsec_{'A' * 32}", notify_delay_s=0)
        await notifying.are_discarded()
        assert await notifying.look(wrong) == Sent(failed=1)
    ((_, fields),) = await entries(redis, keys)
    assert b"waiting.dead_letters" in fields.values()
