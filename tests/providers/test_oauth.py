"""Tokens by client credentials: one request for all that wait, renewed early, dropped where they are refused."""

import asyncio
from types import MappingProxyType

import pytest

from providers.api import ApiRefusedError, ApiUnavailableError, ApiUnexpectedError
from providers.api_client import Answer
from providers.oauth import ClientAccess, Tokens


class Server:
    """Makes tokens, and refuses those that are not in `valid`."""

    def __init__(self, body: bytes | None = None) -> None:
        self.now_s, self.made, self.body = 1000.0, 0, body
        self.valid: set[str] = set()
        self.tokens = Tokens(self.token, lambda: self.now_s)
        self.asked: list[str] = []
        self.slow_s = 0.0

    async def token(self) -> Answer:
        self.made += 1
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        loop.call_soon(turn.set_result, None)
        await turn  # others run meanwhile
        self.now_s += self.slow_s
        self.valid.add(f"Bearer t{self.made}")
        body = b'{"access_token":"t%d","expires_in":1000,"token_type":"Bearer"}' % self.made
        return Answer(200, MappingProxyType({}), body if self.body is None else self.body)

    async def ask(self, authorization: str) -> Answer:
        self.asked.append(authorization)
        if authorization not in self.valid:
            raise ApiRefusedError("401", 401)
        return Answer(200, MappingProxyType({}), b"")


async def test_all_that_wait_share_one_request_for_a_token() -> None:
    server = Server()
    await asyncio.gather(*(server.tokens.call(server.ask) for _ in range(20)))
    assert (server.made, set(server.asked)) == (1, {"Bearer t1"})


@pytest.mark.parametrize(("later_s", "made"), [(899.0, 1), (900.0, 2), (5000.0, 2)])
async def test_a_token_is_renewed_before_it_expires(later_s: float, made: int) -> None:
    server = Server()
    await server.tokens.call(server.ask)
    server.now_s += later_s
    await server.tokens.call(server.ask)
    assert server.made == made


async def test_its_life_begins_when_it_was_asked_for() -> None:
    server = Server()
    server.slow_s = 950
    await server.tokens.call(server.ask)
    server.slow_s = 0
    await server.tokens.call(server.ask)
    assert server.made == 2


async def test_a_refused_token_is_dropped_and_the_request_made_once_more() -> None:
    server = Server()
    await server.tokens.call(server.ask)
    server.valid.clear()
    await asyncio.gather(*(server.tokens.call(server.ask) for _ in range(5)))
    assert server.made == 2
    assert server.asked[-1] == "Bearer t2"


async def test_a_second_refusal_is_the_answer() -> None:
    server = Server()

    async def refuse(authorization: str) -> Answer:
        server.asked.append(authorization)
        raise ApiRefusedError("401", 401)

    with pytest.raises(ApiRefusedError):
        await server.tokens.call(refuse)
    assert server.asked == ["Bearer t1", "Bearer t2"]


@pytest.mark.parametrize(
    ("error", "age_s", "made"),
    [
        (ApiRefusedError("403", 403), 59.0, 1), (ApiUnavailableError("503"), 61.0, 1),
        (ApiRefusedError("403", 403), 61.0, 2),  # the right may have been granted since
    ],
)  # fmt: skip
async def test_another_error_keeps_the_token(error: Exception, age_s: float, made: int) -> None:
    server = Server()

    async def fail(_: str) -> Answer:
        raise error

    await server.tokens.call(server.ask)
    server.now_s += age_s
    with pytest.raises(type(error)):
        await server.tokens.call(fail)
    await server.tokens.call(server.ask)
    assert server.made == made


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b'{"access_token":"secret-token"}', b'{"access_token":"secret-token","expires_in":0}',
     b'{"access_token":"secret-token\\r\\nX: y","expires_in":9}', b'{"access_token":"","expires_in":9}',
     b'{"access_token":["secret-token"],"expires_in":9}', b'{"access_token":"secret-token","expires_in":"soon"}',
     b'{"access_token":"secret-token","expires_in":%s}' % (b"9" * 400), b"[" * 100_000],
)  # fmt: skip
async def test_an_answer_without_a_usable_token_names_no_token(body: bytes) -> None:
    server = Server(body)
    with pytest.raises(ApiUnexpectedError) as error:
        await server.tokens.call(server.ask)
    assert "secret-token" not in f"{error.value!r} {error.value.__cause__!r}"
    assert server.asked == []


async def test_neither_token_nor_client_is_in_a_repr() -> None:
    server = Server(b'{"access_token":"secret-token","expires_in":900}')
    server.valid.add("Bearer secret-token")
    await server.tokens.call(server.ask)
    access = ClientAccess.model_validate(
        {"source": "a", "namespace": "a", "client_id": "the-client", "client_secret": "the-secret"}
    )
    shown = f"{server.tokens!r} {vars(server.tokens)!r} {access!r} {access}"
    for secret in ("secret-token", "the-client", "the-secret"):
        assert secret not in shown
    assert access.basic() == "Basic dGhlLWNsaWVudDp0aGUtc2VjcmV0"
