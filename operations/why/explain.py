"""The search for an id: Redis, then Postgres, then Redis again, and the explanation of what was found."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from contract.accounts import PostingRules, PostingRulesError
from operations.pending_reason import WorkerLimits
from operations.servers import Servers
from operations.why.diagnosis import STUCK, Diagnosis, Stuck, diagnose, find_stuck_money
from operations.why.event_facts import read_event_facts
from operations.why.model import FOR_A_COMMAND, FOR_A_PAGE, Matches, SearchResult, SearchTime, Subject
from operations.why.postgres_source import SCANS, PostgresSource
from operations.why.query import IdQuery, parse_query
from operations.why.redis_source import RedisSource
from operations.why.timeline import TimelineEntry, build_timeline
from runtime.sources_file import read_namespaces, read_posting_rules
from sql.connect import UnreachableError

REDIS_SEARCHED = "Redis: the entries in the stream and the gateway's duplicate markers"
POSTGRES_SEARCHED = (
    "Postgres: events, duplicates, payments, transfers, disputes, conflicts, held back facts and dead letters"
)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything found about an id, and what it means, at the time `now`."""

    result: SearchResult
    diagnoses: Mapping[Subject, Diagnosis]
    """By event."""
    stuck: list[Stuck]
    timeline: list[TimelineEntry]
    limits: WorkerLimits
    now: datetime

    @property
    def is_found(self) -> bool:
        """True if exactly one namespace knows the id."""
        return bool(self.result.events or self.result.payments) and not self.result.ambiguous


async def explain(servers: Servers, id_text: str) -> Explanation:
    """Search both servers for an id. A server that cannot be reached is a problem in the result, not an error."""
    return await _explain(servers, SearchResult(id_text), parse_query(id_text), Matches(), FOR_A_COMMAND)


async def explain_event(servers: Servers, event: Subject) -> Explanation:
    """Explain exactly this event, in the time that a page may take."""
    return await _explain(servers, SearchResult(str(event)), [], Matches(events={event}), FOR_A_PAGE)


async def explain_payment(servers: Servers, payment: Subject, events: Iterable[Subject] = ()) -> Explanation:
    """Explain exactly this payment, with these events of it, in the time that a page may take."""
    matches = Matches(events=set(events), payments={payment})
    queries = [IdQuery(payment.id, payment.namespace)]
    return await _explain(servers, SearchResult(str(payment)), queries, matches, FOR_A_PAGE)


async def _explain(
    servers: Servers, result: SearchResult, queries: list[IdQuery], matches: Matches, time: SearchTime
) -> Explanation:
    limits = WorkerLimits.of(servers.settings)
    rules, namespaces = _read_sources(servers, result)
    await _search(servers, result, limits, rules, namespaces, queries, matches, time)
    result.ambiguous = matches.ambiguous_namespaces
    now = datetime.now(UTC)
    diagnoses = {event.subject: diagnose(event, result, limits, now) for event in result.events.values()}
    stuck = _find_stuck(result, matches, diagnoses)
    return Explanation(result, diagnoses, stuck, build_timeline(result, now), limits, now)


async def _search(
    servers: Servers, result: SearchResult, limits: WorkerLimits, rules: Mapping[str, PostingRules],
    namespaces: set[str], queries: list[IdQuery], matches: Matches, time: SearchTime,
) -> None:  # fmt: skip
    """Ask Redis first, so that an event that leaves the stream meanwhile is found in Postgres."""
    redis_source = RedisSource(servers.keys, result, time)
    try:
        async with servers.redis() as redis:
            await redis_source.add_matches(redis, queries, namespaces, matches)
        result.searched.append(REDIS_SEARCHED)
    except UnreachableError as error:
        result.redis_problem = str(error)
    try:
        await _search_postgres(servers, result, rules, queries, namespaces, matches, time)
        result.searched.append(POSTGRES_SEARCHED)
    except UnreachableError as error:
        result.postgres_problem = str(error)
    if not result.redis_problem and not matches.ambiguous_namespaces:
        try:
            async with servers.redis() as redis:
                await redis_source.read_details(redis, matches, limits)
        except UnreachableError as error:
            result.redis_problem = str(error)
    for event in result.events.values():
        if event.readable_entries and not event.applied:
            event.facts, event.facts_problem = read_event_facts(event.readable_entries[-1].event, rules)


async def _search_postgres(
    servers: Servers, result: SearchResult, rules: Mapping[str, PostingRules], queries: list[IdQuery],
    namespaces: set[str], matches: Matches, time: SearchTime,
) -> None:  # fmt: skip
    timeout_s = servers.settings.statement_timeout_s + SCANS * time.table_s
    async with (
        servers.postgres(timeout_s) as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        source = PostgresSource(connection, rules, result, time)
        await source.add_matches(queries, namespaces, matches)
        if not matches.ambiguous_namespaces:
            await source.read_details(matches)


def _read_sources(servers: Servers, result: SearchResult) -> tuple[Mapping[str, PostingRules], set[str]]:
    path = servers.settings.sources_file
    try:
        return read_posting_rules(path), read_namespaces(path)
    except PostingRulesError as error:
        result.notes.append(f"{error}; facts are read as if no source had settings of its own")
        return {}, set()


def _find_stuck(result: SearchResult, matches: Matches, diagnoses: Mapping[Subject, Diagnosis]) -> list[Stuck]:
    stuck = [
        Stuck(str(subject), diagnosis.sentence, diagnosis.next)
        for subject, diagnosis in diagnoses.items()
        if diagnosis.state in STUCK
    ]
    for payment in result.payments.values():
        event_ids = {event.subject.id for event in result.events.values() if event.payment == payment.subject}
        stuck += find_stuck_money(payment, None if payment.subject in matches.payments else event_ids)
    return stuck
