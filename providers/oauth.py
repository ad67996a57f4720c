"""Tokens of OAuth 2.0 by client credentials (RFC 6749, section 4.4), for the APIs that take no key of their own.

A token is fetched when it is needed, by one request at a time, and used until shortly before it expires. It is in no
repr, log or error.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from providers.api import ApiRefusedError, ApiUnexpectedError
from providers.api_access import ApiAccess, basic
from providers.base import PayloadError
from providers.models import Model
from providers.payload import read_json
from providers.secret import Secret

if TYPE_CHECKING:
    from providers.api_client import Answer

RENEWED_BEFORE = 0.1
"""The last part of a token's life, in which it is not used: an answer may take long, and clocks may differ."""

RENEWED_BEFORE_S_MAX = 300.0

RIGHTS_S = 60.0
"""The age from which on a token that may not read something is dropped: a right that was granted since is in no token
of before."""

EXPIRES_IN_S_MAX = 10**9
"""More than 30 years is no life of a token."""

_TOKEN = re.compile(r"[\x21-\x7e]{1,16384}")
"""What can stand in a header."""


class ClientAccess(ApiAccess):
    """The access of a provider whose API takes the id and the secret of a client."""

    credentials: ClassVar[tuple[str, ...]] = ("client_id", "client_secret")

    client_id: Secret
    client_secret: Secret

    def basic(self) -> str:
        """Return the value of an Authorization header with both."""
        return basic(self.client_id, self.client_secret)


class _TokenAnswer(Model):
    access_token: str = Field(repr=False)
    expires_in: Annotated[int, Field(ge=1, le=EXPIRES_IN_S_MAX)]


@dataclass(frozen=True, slots=True)
class _Token:
    text: str = field(repr=False)
    since_s: float
    until_s: float
    """Both are on the clock of `Tokens`: a change of the machine's time neither keeps an old token nor drops a new one.
    """


class Tokens:
    """The current token of one client. `request` asks for a new one; `clock` is monotonic, in seconds."""

    def __init__(self, request: Callable[[], Awaitable["Answer"]], clock: Callable[[], float] = time.monotonic) -> None:
        self._request = request
        self._clock = clock
        self._refreshing = asyncio.Lock()
        self._token: _Token | None = None

    async def call(self, ask: Callable[[str], Awaitable["Answer"]]) -> "Answer":
        """Return the answer of a request that is given the value of its Authorization header. Raise ApiError.

        A token that is refused (401), because it was revoked for example, is dropped, and the request is made once
        more with a new one. A second refusal is about the client. One that may not read this (403) is dropped for those
        who ask later.
        """
        token = await self._current()
        try:
            return await ask(f"Bearer {token.text}")
        except ApiRefusedError as error:
            is_wrong = error.status == 401
            if self._token is token and (is_wrong or self._clock() - token.since_s >= RIGHTS_S):
                self._token = None  # and not one that another request has fetched meanwhile
            if not is_wrong:
                raise
        return await ask(f"Bearer {(await self._current()).text}")

    async def _current(self) -> _Token:
        async with self._refreshing:
            if self._token is None or self._clock() >= self._token.until_s:
                self._token = await self._new()
            return self._token

    async def _new(self) -> _Token:
        asked_at_s = self._clock()
        answer = await self._request()
        try:
            read = read_json(_TokenAnswer, answer.body)
        except PayloadError:
            raise ApiUnexpectedError("the answer has no token, or does not say how long it is valid") from None
        if not _TOKEN.fullmatch(read.access_token):
            raise ApiUnexpectedError("the token has characters that a header cannot have")
        early_s = min(RENEWED_BEFORE_S_MAX, read.expires_in * RENEWED_BEFORE)
        return _Token(read.access_token, asked_at_s, asked_at_s + read.expires_in - early_s)
