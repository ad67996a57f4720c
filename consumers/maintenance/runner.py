"""Runs the steps of the daily maintenance: one worker at a time, and again soon where a step failed."""

import asyncio
import os
import random
import secrets
import socket
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from redis.asyncio import Redis

from consumers.maintenance import STEPS
from consumers.maintenance.steps import CLAIM_S, MAINTENANCE, Step, StepError, Turn
from consumers.retry import INFRASTRUCTURE, describe
from consumers.settings import DAY_S, Settings
from sql.connect import Connection, UnreachableError, connect

LOOK_EVERY_S = 60.0
"""How often each worker looks whether a step is due."""

FAILED_AGAIN_S = 600.0
"""How soon a step that failed is tried again."""

REASON_CHARS_MAX = 1000

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one step: what it did, or why it failed. `rows`: removed or moved."""

    step: str
    text: str
    rows: int = 0
    has_failed: bool = False


class Maintenance:
    """The maintenance as one worker, or one command, takes part in it."""

    def __init__(self, settings: Settings, redis: Redis, steps: Sequence[Step] = STEPS) -> None:
        self._settings = settings
        self._redis = redis
        self._steps = steps
        self.runner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        """Its name in the table, which no other process has."""

    async def run(self) -> None:
        """Do what is due, until cancelled. An outage is waited out, as everything in it is done again later."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S * random.uniform(0.2, 1))  # noqa: S311 - so that workers do not ask in step
            try:
                await self.do_what_is_due()
            except (*INFRASTRUCTURE, UnreachableError) as error:
                log.warning("the daily maintenance could not be looked after; it is tried again",
                            reason=describe(error), again_s=LOOK_EVERY_S)  # fmt: skip

    async def do_what_is_due(self) -> list[Outcome]:
        """Run the steps that are due and that nobody works on."""
        settings = self._settings
        async with connect(
            settings.database_url.get_secret_value(), timeout_s=settings.acquire_timeout_s,
            pooler=settings.database_pooler,
        ) as connection:  # fmt: skip
            query = MAINTENANCE.bind("find_due_steps", steps=[step.name for step in self._steps])
            due = {row["step"] for row in await connection.fetch(*query, timeout=settings.statement_timeout_s)}
            outcomes = [await self.do(connection, step) for step in self._steps if step.name in due]
        return [outcome for outcome in outcomes if outcome]

    async def do(self, connection: Connection, step: Step, *, at_once: bool = False) -> Outcome | None:
        """Run a step if it is due, or `at_once`. Return None if it is not, or if somebody else works on one."""
        if not await self._claim(connection, step, at_once=at_once):
            return None
        turn = Turn(step.name, self.runner, connection, self._redis, self._settings)
        try:
            done = await step.run(turn)
        except StepError as error:
            return await self._fail(connection, step, str(error))
        except (*INFRASTRUCTURE, UnreachableError) as error:
            return await self._fail(connection, step, describe(error))
        except Exception as error:
            log.exception("a step of the daily maintenance has a bug", step=step.name)
            return await self._fail(connection, step, describe(error))
        end = MAINTENANCE.bind(
            "finish_step", step=step.name, runner=self.runner, outcome=done.text, next_in_s=float(DAY_S)
        )
        await connection.execute(*end)
        log.info("daily maintenance", step=step.name, outcome=done.text)
        return Outcome(step.name, done.text, done.rows)

    async def _claim(self, connection: Connection, step: Step, *, at_once: bool) -> bool:
        claim = MAINTENANCE.bind("claim_step", step=step.name, runner=self.runner, claim_s=CLAIM_S, at_once=at_once)
        async with connection.transaction(isolation="read_committed"):
            # The claim is a statement of its own, so that it sees the one that ended while this lock was taken.
            is_locked = await connection.fetchval(MAINTENANCE["try_to_lock_claims"])
            return bool(is_locked and await connection.fetchrow(*claim))

    async def _fail(self, connection: Connection, step: Step, reason: str) -> Outcome:
        log.warning("a step of the daily maintenance failed; it is tried again", step=step.name, reason=reason,
                    again_s=FAILED_AGAIN_S)  # fmt: skip
        if not connection.is_closed():
            failure = MAINTENANCE.bind(
                "fail_step", step=step.name, runner=self.runner, failure=reason[:REASON_CHARS_MAX],
                next_in_s=FAILED_AGAIN_S,
            )  # fmt: skip
            await connection.execute(*failure)
        return Outcome(step.name, reason, has_failed=True)
