"""The command: asks Redis, then Postgres, then Redis again; what one of them does not answer, the other may tell."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from contract.accounts import PostingRules, PostingRulesError
from operations.cli.command import EXIT_UNREACHABLE, EXIT_WRONG, Command, fail
from operations.cli.why_json import answer_json, head_json
from operations.cli.why_text import Answer, print_answer
from operations.pending_reason import Limits
from operations.why.diagnosis import STUCK, Stuck, judge, look_at_money
from operations.why.event_facts import read_facts
from operations.why.model import Found, Meant
from operations.why.postgres_source import SCAN_S, SCANS, PostgresLook
from operations.why.query import read_wanted
from operations.why.redis_source import StreamLook
from operations.why.timeline import tell
from runtime.sources_file import read_namespaces, read_posting_rules
from sql.connect import UnreachableError


async def show_why(command: Command) -> int:
    """Everything known about one event or payment. The exit code is 3 where one of the servers was not asked."""
    found, limits = Found(command.arguments.id), Limits(command.settings.claim_idle_ms, command.settings.max_attempts)
    posting_rules, namespaces = _sources(command, found)
    meant = await _ask(command, found, limits, posting_rules, namespaces)
    found.ambiguous = meant.several
    if found.ambiguous or not (found.events or found.payments):
        return _say_nothing(command, found)
    now = datetime.now(UTC)
    answer = _answer(found, meant, limits, now)
    if command.arguments.json:
        command.print_json(answer_json(answer, limits, now))
    else:
        print_answer(command.console, answer)
    return _end(found)


async def _ask(
    command: Command, found: Found, limits: Limits, posting_rules: Mapping[str, PostingRules], namespaces: set[str]
) -> Meant:
    """Redis goes first: what leaves the stream after that is found in Postgres."""
    wanted, meant = read_wanted(found.wanted), Meant()
    stream = StreamLook(command.keys, found)
    async with _half(found, "redis"), command.redis() as redis:
        await stream.find(redis, wanted, namespaces, meant)
        found.looked.append("Redis: the entries in the stream and the gateway's duplicate markers")
    timeout_s = command.settings.statement_timeout_s + SCANS * SCAN_S
    async with _half(found, "postgres"), command.postgres(timeout_s) as connection:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            look = PostgresLook(connection, posting_rules, found)
            await look.find(wanted, namespaces, meant)
            if not meant.several:
                await look.look(meant)
        found.looked.append(
            "Postgres: events, duplicates, payments, transfers, disputes, conflicts, held back facts and dead letters"
        )
    if not found.redis and not meant.several:
        async with _half(found, "redis"), command.redis() as redis:
            await stream.look(redis, meant, limits)
    for event in found.events.values():
        if event.entries and not event.applied:
            event.facts, event.facts_problem = read_facts(event.entries[-1].event, posting_rules)
    return meant


@asynccontextmanager
async def _half(found: Found, name: str) -> AsyncIterator[None]:
    try:
        yield
    except UnreachableError as error:
        setattr(found, name, str(error))


def _sources(command: Command, found: Found) -> tuple[Mapping[str, PostingRules], set[str]]:
    path = Path(command.settings.sources_file)
    try:
        return read_posting_rules(path), read_namespaces(path)
    except PostingRulesError as error:
        found.notes.append(f"{error}; facts are read as if no source had settings of its own")
        return {}, set()


def _answer(found: Found, meant: Meant, limits: Limits, now: datetime) -> Answer:
    verdicts = {str(event.subject): judge(event, found, limits, now) for event in found.events.values()}
    stuck = [
        Stuck(name, verdict.sentence, verdict.next) for name, verdict in verdicts.items() if verdict.standing in STUCK
    ]
    for payment in found.payments.values():
        events = {event.subject.id for event in found.events.values() if event.payment == payment.subject}
        stuck += look_at_money(payment, None if payment.subject in meant.payments else events)
    return Answer(found, verdicts, stuck, tell(found, now))


def _say_nothing(command: Command, found: Found) -> int:
    if command.arguments.json:
        command.print_json(head_json(found))
    if found.ambiguous:
        names = ", ".join(f"{namespace}/{found.wanted}" for namespace in found.ambiguous)
        return fail(f"{found.wanted!r} is known in several namespaces; name one: {names}.")
    if found.looked:
        fail(f"Nothing is known of {found.wanted!r}. Looked at was {'; '.join(found.looked)}.")
    return _end(found, EXIT_WRONG)


def _end(found: Found, otherwise: int = 0) -> int:
    for name, problem in (("Redis", found.redis), ("Postgres", found.postgres)):
        if problem:
            fail(f"{name} was not asked: {problem}.")
    return EXIT_UNREACHABLE if found.redis or found.postgres else otherwise
