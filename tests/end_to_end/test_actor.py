"""Who acts is in the log: ACTOR, as a program of its own is given it."""

import json

import asyncpg

from consumers.settings import Settings
from tests.support.events import contract_event
from tests.support.processes import Programs
from tests.support.stream_states import Stream


async def test_the_actor_of_the_environment_is_in_the_log(
    programs: Programs, settings: Settings, stream: Stream, connection: asyncpg.Connection
) -> None:
    await stream.publish(contract_event("evt_a"))
    await stream.dead_letter(connection, (await stream.read("worker-1"))[0])
    env = {
        "REDIS_URL": settings.redis_url.get_secret_value(),
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "KEY_PREFIX": settings.key_prefix,
        "ACTOR": "ada",
    }
    code, _, errors = await programs.run("operations", env, "discard", "--reason=too old", "--", "evt_a")
    assert code == 0, errors
    code, output, errors = await programs.run("operations", env, "log", "--json")
    assert code == 0, errors
    (row,) = json.loads(output)["operations"]
    assert (row["actor"], row["reason"], row["face"], row["action"]) == ("ada", "too old", "command", "discard")
