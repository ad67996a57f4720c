"""Several questions about one object share an answer, if it was asked for after each of them was known."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from providers import api_answers
from providers.api import ApiUnavailableError, Limits
from providers.api_answers import SINCE_S
from providers.api_client import ApiClient
from tests.support.stand_ins.stand_in import StandIn, status, text
from tests.support.wait import until

QUICK = Limits(timeout_s=2, attempts_max=1, requests_per_s_max=10_000)


class Counting(StandIn):
    """Answers each path with the number of the request."""

    def __init__(self) -> None:
        super().__init__()
        self.app.router.add_get("/{path:.*}", self._count)

    async def _count(self, _: web.Request) -> web.Response:
        return web.Response(text=str(len(self.requests)))

    def refusal(self, request: web.Request) -> None:
        """Accept everybody."""


@pytest.fixture
async def server() -> AsyncIterator[Counting]:
    async with Counting().serving() as running:
        yield running


def now_s() -> float:
    return asyncio.get_running_loop().time()


async def test_without_a_time_each_question_is_asked(server: Counting) -> None:
    async with ApiClient(server.url, QUICK) as client:
        answers = await asyncio.gather(*(client.get("/a") for _ in range(3)))
    assert sorted(answer.body for answer in answers) == [b"1", b"2", b"3"]


async def test_questions_at_one_time_share_an_answer_and_a_later_one_does_not(server: Counting) -> None:
    async with ApiClient(server.url, QUICK) as client:
        SINCE_S.set(now_s())
        answers = await asyncio.gather(*(client.get("/a") for _ in range(5)), client.get("/b"))
        assert len({answer.body for answer in answers[:5]}) == 1
        assert len(server.requests) == 2
        await client.get("/a")
        assert len(server.requests) == 2
        SINCE_S.set(now_s())
        assert (await client.get("/a")).body == b"3"


async def test_another_header_is_another_question(server: Counting) -> None:
    async with ApiClient(server.url, QUICK) as client:
        SINCE_S.set(now_s())
        await client.get("/a", Context="one")
        await client.get("/a", Context="two")
    assert len(server.requests) == 2


async def test_who_is_cancelled_takes_no_answer_from_the_others(server: Counting) -> None:
    server.gate.clear()
    async with ApiClient(server.url, QUICK) as client:
        SINCE_S.set(now_s())
        first, second = (asyncio.create_task(client.get("/a")) for _ in range(2))
        await until(lambda: server.requests, what="it is asked")
        first.cancel()
        server.gate.set()
        assert (await second).body == b"1"
    assert first.cancelled()


async def test_a_failure_is_shared_and_not_kept(server: Counting) -> None:
    server.mishaps.append(status(503))
    async with ApiClient(server.url, QUICK) as client:
        SINCE_S.set(now_s())
        both = await asyncio.gather(client.get("/a"), client.get("/a"), return_exceptions=True)
        assert [type(each) for each in both] == [ApiUnavailableError] * 2
        assert (await client.get("/a")).body == b"2"


async def test_answers_that_are_large_or_many_are_forgotten(server: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_answers, "ANSWER_BYTES_MAX", 100)
    server.mishaps.append(text(b"x" * 101))
    async with ApiClient(server.url, QUICK) as client:
        SINCE_S.set(now_s())
        await client.get("/large")
        await client.get("/large")
        assert len(server.requests) == 2
        for number in range(api_answers.ANSWERS_MAX):
            await client.get(f"/{number}")
        before = len(server.requests)
        await client.get("/large")
        assert len(server.requests) == before + 1


async def test_closing_ends_what_is_being_asked(server: Counting) -> None:
    server.gate.clear()
    async with ApiClient(server.url, QUICK) as client:
        SINCE_S.set(now_s())
        asking = asyncio.create_task(client.get("/a"))
        await until(lambda: server.requests, what="it is asked")
    with pytest.raises(asyncio.CancelledError):
        await asking
    server.gate.set()
