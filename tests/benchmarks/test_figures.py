"""What the benchmarks print must be true: which side is divided by which, and what counts as reached."""

import io

import pytest
from rich.console import Console

from tests.benchmarks.client import Connection, Run
from tests.benchmarks.events import EVENT_BYTES, event_number, signed_requests, stream_events
from tests.benchmarks.figures import Figure, table


@pytest.mark.parametrize(
    ("ours", "against", "at_most", "reached"),
    [(70, 100, False, True), (69, 100, False, False), (0.7, None, False, True), (0.8, None, True, False)],
)
def test_the_ratio_counts_where_there_is_another_side(
    ours: float, against: float | None, at_most: bool, reached: bool
) -> None:
    figure = Figure("group", "what", ours, "/s", against, "other", target=0.7, at_most=at_most)
    assert figure.reached is reached
    assert figure.as_json()["reached"] is reached


def test_a_figure_without_a_target_is_only_shown() -> None:
    assert Figure("group", "what", 1, "ms").reached is None


def test_the_table_shows_both_sides_the_ratio_the_target_and_the_verdict() -> None:
    printed = io.StringIO()
    figures = [Figure("gateway", "requests", 5210, "/s", 7000, "bare", 0.7), Figure("memory", "held", 200, "MB")]
    Console(file=printed, width=140).print(table(figures, caption="here"))
    for text in ("5,210 /s", "bare: 7,000 /s", "0.74 x", "≥ 0.70 x", "reached", "200 MB", "here"):
        assert text in printed.getvalue()


def test_events_are_distinct_numbered_and_of_the_stated_size() -> None:
    requests = signed_requests(7, 3)
    assert [event_number(signed.event_id) for signed in requests] == [7, 8, 9]
    assert {len(signed.body) for signed in requests} == {EVENT_BYTES}
    assert [event.body for event in stream_events(7, 3)] == [signed.body for signed in requests]


@pytest.mark.parametrize("cut", [5, 20, 30, 57])
async def test_an_answer_may_come_in_pieces(cut: int) -> None:
    answer = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\nServer: any\r\n\r\n{}"
    run = Run([b""], rate=None)
    connection = Connection()
    connection.run = run
    connection.data_received(answer[:cut])
    assert run.outcome.statuses == {}
    connection.data_received(answer[cut:])
    assert run.outcome.statuses == {"202": 1}


@pytest.mark.parametrize("times_answers", [False, True])
async def test_when_an_answer_came_is_told_only_where_it_is_asked_for(times_answers: bool) -> None:
    run = Run([b""], rate=None, times_answers=times_answers)
    connection = Connection()
    connection.run = run
    connection.data_received(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
    assert [at_s > 0 for at_s in run.outcome.answered_s] == ([True] if times_answers else [])


def test_events_have_the_names_that_a_benchmark_gives_them() -> None:
    (event,) = stream_events(7, 1, lambda number: f"named_{number}")
    assert (event.event_id, event.resource) == ("evt_named_7", "pi_named_7")
    assert b'"id": "pi_named_7"' in event.body
