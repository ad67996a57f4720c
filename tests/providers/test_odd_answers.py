"""Whatever value stands anywhere in the answers of a list of events: a documented error, or events to be published."""

import copy
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from types import MappingProxyType
from typing import Any

import pytest

from providers.api import ApiError, to_event
from providers.api_client import Answer
from tests.support.cases.base import NOW
from tests.support.event_lists import LISTS, asking, listed, many

ODD: tuple[Any, ...] = (None, True, -1, 1e999, 10**4000, "", "\0", "\ud800", "x" * 5000, [], [[]], {}, [{}])
ASKED_MAX = 100
"""Questions after which a list is taken to have no end."""

Request = Callable[..., Awaitable[Answer]]


def changed(value: Any) -> Iterator[bytes]:
    """Yield the JSON of a value with something odd in each place. Of an array the first item is changed."""
    for path in paths_of(value):
        for odd in ODD:
            whole = {"": copy.deepcopy(value)}
            *way, last = ("", *path)
            place: Any = whole
            for key in way:
                place = place[key]
            place[last] = odd
            yield json.dumps(whole[""]).encode()


def paths_of(value: Any) -> Iterator[tuple[str | int, ...]]:
    yield ()
    members = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for key, each in members:
        yield from ((key, *path) for path in paths_of(each))


async def recorded(api: Any, ask: Callable[[], Awaitable[object]], request: Request) -> list[bytes]:
    """Return the answers to a question."""
    answers = list[bytes]()

    async def keep(*args: Any) -> Answer:
        answer = await request(*args)
        answers.append(answer.body)
        return answer

    api.client._request = keep
    await ask()
    return answers


def replayed(api: Any, answers: list[bytes]) -> None:
    """Give these answers from now on, one after the other, and the last one for ever."""
    asked = iter(range(ASKED_MAX))

    async def answer(*_: Any) -> Answer:
        number = next(asked, None)
        assert number is not None, "a list has no end"
        return Answer(200, MappingProxyType({}), answers[min(number, len(answers) - 1)])

    api.client._request = answer


@pytest.mark.parametrize("case", LISTS.values(), ids=LISTS)
async def test_any_value_in_any_place_of_an_answer_is_read_or_refused(case: Any) -> None:
    async with asking(case, *many(case, 4)) as (server, api):
        server.page = 3
        api.access = api.access.model_copy(update={"reconcile_types": ("*",)})
        request = api.client._request

        async def publish() -> None:
            for each in await listed(api):
                if not each.unreadable:
                    to_event(api.access, case.provider, each, NOW, "reconcile")

        for ask in (publish, api.check):
            answers = await recorded(api, ask, request)
            for number, body in enumerate(answers[:4]):
                for odd in changed(json.loads(body)) if body else ():
                    replayed(api, [*answers[:number], odd, *answers[number + 1 :]])
                    with suppress(ApiError):
                        await ask()
