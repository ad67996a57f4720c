"""When a message is made, and when it is sent again."""

from datetime import UTC, datetime, timedelta

import pytest

from operations.notify.kinds import KINDS, NOTHING, Found, Kind, summary
from operations.notify.standing import (
    ATTEMPTS_MAX,
    RETRY_MAX_S,
    RETRY_S,
    Standing,
    Times,
    decide,
    merged,
    not_delivered,
)
from tests.support.processes import ROOT

NOW = datetime(2026, 9, 17, 12, tzinfo=UTC)
TIMES = Times(timedelta(0), timedelta(hours=4))
DEAD = KINDS["dead_letters"]


def announced(kind: str, count: int, at: datetime = NOW) -> Standing:
    return decide(KINDS[kind], Standing(), Found(count), at, TIMES, "")


def test_attempts_come_less_and_less_often_and_then_rest() -> None:
    standing, delays = announced("dead_letters", 1), []
    for _ in range(ATTEMPTS_MAX):
        standing = not_delivered(standing, NOW, TIMES, is_refused=False)
        assert standing.next_attempt_at
        delays.append((standing.next_attempt_at - NOW).total_seconds())
    for attempt, delay in enumerate(delays[:-1]):
        longest = min(RETRY_S * 2**attempt, RETRY_MAX_S)
        assert 0.75 * longest <= delay <= longest
    assert delays[-1] == TIMES.repeat.total_seconds()


def test_what_nobody_can_end_is_repeated_only_once_it_has_grown() -> None:
    later = NOW + TIMES.repeat
    first = announced("other_mode", 3)
    same = decide(KINDS["other_mode"], first, Found(3), later, TIMES, "")
    assert same.message_id == first.message_id
    grown = decide(KINDS["other_mode"], first, Found(4), later, TIMES, "")
    assert grown.message_id != first.message_id


def test_what_nobody_has_heard_of_is_not_said_to_be_over() -> None:
    unsent = announced("dead_letters", 1)
    assert decide(DEAD, unsent, NOTHING, NOW, TIMES, "").message is None
    tried = not_delivered(unsent, NOW, TIMES, is_refused=False)
    over = decide(DEAD, tried, NOTHING, NOW, TIMES, "")
    assert over.message
    assert over.message_id != tried.message_id
    assert '"resolved"' in over.message


def test_a_delay_begins_anew_after_a_break() -> None:
    times = Times(timedelta(seconds=30), timedelta(hours=4))
    standing = decide(DEAD, Standing(), Found(1), NOW, times, "")
    standing = decide(DEAD, standing, NOTHING, NOW + timedelta(seconds=29), times, "")
    standing = decide(DEAD, standing, Found(1), NOW + timedelta(seconds=31), times, "")
    assert standing.message is None
    assert standing.differs_since == NOW + timedelta(seconds=31)


def test_what_was_done_apart_wins_only_where_it_is_newer() -> None:
    older, newer = announced("redis_unreachable", 1), announced("redis_unreachable", 1, NOW + timedelta(seconds=1))
    assert merged(older, newer) is newer
    assert merged(newer, older) is newer
    assert merged(Standing(), Standing()) == Standing()


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_every_kind_has_its_sentences_and_a_runbook_that_exists(kind: Kind) -> None:
    page, _, heading = kind.runbook.partition("#")
    text = (ROOT / page).read_text().lower()
    assert f"## {heading.replace('-', ' ')}" in text if heading else text
    for found in (NOTHING, Found(1, oldest_at=NOW), Found(10_000, at_least=True, oldest_at=NOW)):
        sentence = summary(kind, found, NOW + timedelta(days=9))
        assert sentence.endswith(".")
        assert "{" not in sentence
        assert "unknown" not in sentence


def test_a_sentence_has_the_age_and_says_where_a_count_stopped() -> None:
    found = Found(10_000, at_least=True, oldest_at=NOW)
    assert summary(KINDS["oldest_entry"], found, NOW + timedelta(minutes=7)) == (
        "10,000 or more accepted events wait to be applied, the oldest for 7 min."
    )
    assert summary(KINDS["audit_overdue"], Found(1, oldest_at=NOW), NOW + timedelta(days=9)) == (
        "No audit has ended for 9 d."
    )
