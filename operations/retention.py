"""The daily maintenance, done now because a person asks for it: what is too old is removed, as workers do it."""

from dataclasses import dataclass

from consumers.maintenance import STEPS
from consumers.maintenance.runner import Maintenance, Outcome
from consumers.maintenance.steps import MAINTENANCE
from operations.log import Act, record, require_log
from operations.servers import LONG_TIMEOUT_S, Servers


@dataclass(frozen=True, slots=True)
class Retention:
    """What each step did. `busy_with`: the step that a worker does now, so that the others were left to it."""

    outcomes: list[Outcome]
    busy_with: str | None = None

    @property
    def has_failed(self) -> bool:
        """Whether something had to stay as it was."""
        return self.busy_with is not None or any(outcome.has_failed for outcome in self.outcomes)


async def retain(servers: Servers, *, act: Act) -> Retention:
    """Do every step now, due or not, and record what was removed. Each step commits in parts, as a worker's does."""
    done = Retention([])
    async with servers.redis() as redis, servers.postgres(LONG_TIMEOUT_S) as connection:
        await require_log(connection)
        maintenance = Maintenance(servers.settings, redis)
        for step in STEPS:
            outcome = await maintenance.do(connection, step, at_once=True)
            if outcome is None:
                runner = await connection.fetchrow(MAINTENANCE["find_runner"])
                done = Retention(done.outcomes, runner["step"] if runner else step.name)
                break
            done.outcomes.append(outcome)
        rows = {outcome.step: outcome.rows for outcome in done.outcomes if outcome.rows}
        if rows:
            async with connection.transaction(isolation="read_committed"):
                await record(
                    connection, act, action="retain", subject=f"installation:{servers.keys.prefix}",
                    touched=sum(rows.values()), details=rows,
                )  # fmt: skip
    return done
