"""Where the Redis lives that takes our writes: it is asked before each connect, because it may have moved.

A plain address and Sentinel are two answers to this one question. A connection asks only `Place.find`.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from runtime.addresses import LivingServers, Server, resolve
from runtime.redis_address import show_servers

ANSWERS_WITHIN_S = 0.5
"""How long sentinels may take to answer where fewer than half of them have answered."""

SETTLED_S = 5.0
"""How long sentinels take at most to know of a replica that another one promotes: they greet every two seconds."""

Ask = Callable[[Server, Sequence[tuple[str, ...]]], Awaitable[Sequence[Any]]]
"""Sends commands to a server over a connection of their own; returns each reply, which may be an error it answered."""

log = structlog.get_logger()


class Place(Protocol):
    """Answers where a server lives now."""

    moves: bool
    """Whether another server may take its place: one that we connect to may turn out not to take writes."""

    async def find(self) -> Server:
        """Return the server to connect to now. Raises RedisError with a sentence, OSError."""

    def fell_silent(self) -> None:
        """Note that connecting to the server took too long."""

    def replaced(self, server: Server) -> bool:
        """Return whether another server was found since this one was."""

    async def is_settled(self) -> bool:
        """Return whether it is certain that no replica of the server is being promoted, or has just been."""


class FixedServer:
    """The server at one address. If nothing answered the last time, that address of its name that accepts."""

    moves = False

    def __init__(self, server: Server, living: LivingServers, *, by_name: bool) -> None:
        """`by_name`: the certificate's name is verified, so that it may not be replaced by its address."""
        self._server = server
        self._living = living
        self._by_name = by_name
        self._address = show_servers((server,))

    async def find(self) -> Server:
        """Return the server to connect to now. Raises OSError."""
        if self._by_name or self._address not in self._living:
            return self._server
        return (await self._living.choose(self._address, await resolve(*self._server)))[0]

    def fell_silent(self) -> None:
        """Note that connecting to the server took too long."""
        self._living.fell_silent(self._address)

    def replaced(self, server: Server) -> bool:  # noqa: ARG002
        """Return False: what notices an address that moves asks over new connections (consumers/address_watch.py)."""
        return False

    async def is_settled(self) -> bool:
        """Return True: nobody promotes another server."""
        return True


@dataclass(frozen=True, slots=True)
class View:
    """What one sentinel says about the master: the higher its epoch, the newer."""

    server: Server
    epoch: int
    is_failing_over: bool
    """Whether it is promoting a replica, and has not done so yet."""


class SentinelMaster:
    """The master that the sentinels name.

    All are asked at once, because the first that answers may be behind, or cut off with an old master. The newest view
    counts; one that is older than what we know counts only if more than half of the sentinels have answered.
    """

    moves = True

    def __init__(self, sentinels: tuple[Server, ...], name: str, ask: Ask) -> None:
        self._sentinels = sentinels
        self._name = name
        self._ask = ask
        self._silent: set[Server] = set()
        """Sentinels that did not answer in time when they were last waited for. They are not waited for again."""
        self._known: View | None = None
        self._is_alone = False
        """Whether no sentinel answered the last time."""
        self._asking: asyncio.Task[Server] | None = None
        self._heard = 0
        """How many named a master the last time."""
        self._steady_since_s = math.inf
        """Since when more than half of them name the same master, and none replaces it."""

    def __repr__(self) -> str:
        return f"<master {self._name!r} of {show_servers(self._sentinels)}>"

    async def find(self) -> Server:
        """Return the master, or the last one known if no sentinel answers.

        Raises RedisConnectionError if no master is known, or while it is being replaced: what the old one accepts then
        is lost.
        Several connections that ask at once share one answer.
        """
        if self._asking is None or self._asking.done() or self._asking.get_loop() is not asyncio.get_running_loop():
            self._asking = asyncio.create_task(self._find())
            self._asking.add_done_callback(_retrieve)
        return await asyncio.shield(self._asking)

    async def _find(self) -> Server:
        answers = await self._ask_all()
        views = [answer for answer in answers.values() if isinstance(answer, View)]
        self._heard = len(views)
        if not self._is_majority(len(views)):
            self._steady_since_s = math.inf
        if views:
            self._is_alone = False
            return self._judge(views)
        if self._known is None or not all(isinstance(answer, Unreachable) for answer in answers.values()):
            raise RedisConnectionError(self._complaint(answers))
        if not self._is_alone:
            log.warning("no sentinel answers; the last known master of Redis is used", master=self._name)
        self._is_alone = True
        return self._known.server

    def fell_silent(self) -> None:
        """Do nothing: the sentinels notice a silent master, and name another one."""

    def replaced(self, server: Server) -> bool:
        """Return whether the sentinels have named another master since this one was found."""
        return self._known is not None and self._known.server != server

    async def is_settled(self) -> bool:
        """Return whether no replica is being promoted. A sentinel that does not answer may just be doing that.

        Once it is done, or has failed, the others know it within seconds.
        """
        try:
            await self._find()  # a question that is under way may be older than what is asked here
        except RedisError:
            return False
        steady_s = asyncio.get_running_loop().time() - self._steady_since_s
        return self._heard == len(self._sentinels) or steady_s >= SETTLED_S

    def _judge(self, views: Sequence[View]) -> Server:
        newest = max(views, key=lambda view: view.epoch)
        if self._known and newest.epoch < self._known.epoch and not self._is_majority(len(views)):
            return self._known.server
        is_failing_over = any(view.is_failing_over for view in views if view.epoch == newest.epoch)
        if is_failing_over or (self._known and newest.server != self._known.server):
            self._steady_since_s = math.inf
        elif self._is_majority(len(views)):
            self._steady_since_s = min(self._steady_since_s, asyncio.get_running_loop().time())
        self._known = newest
        if is_failing_over:
            raise RedisConnectionError(f"the sentinels are replacing the master {self._name!r} of Redis")
        return newest.server

    def _is_majority(self, count: int) -> bool:
        return 2 * count > len(self._sentinels)

    async def _ask_all(self) -> dict[Server, "View | Refusal | Unreachable"]:
        """Return what each sentinel answered, once all that usually do have answered, or time is over."""
        tasks = {server: asyncio.create_task(self._ask_one(server)) for server in self._sentinels}
        by_s = asyncio.get_running_loop().time() + ANSWERS_WITHIN_S
        try:
            usual = {server for server in tasks if server not in self._silent} or set(tasks)
            await _wait([tasks[server] for server in usual], by_s)
            if not self._is_majority(sum(_has_view(task) for task in tasks.values())):
                await _wait(list(tasks.values()), by_s)
            self._silent -= {server for server, task in tasks.items() if task.done()}
            self._silent |= {server for server in usual if not tasks[server].done()}
            return {
                server: task.result() if task.done() else Unreachable(f"no answer within {ANSWERS_WITHIN_S} s")
                for server, task in tasks.items()
            }
        finally:
            for task in tasks.values():
                task.cancel()

    async def _ask_one(self, server: Server) -> "View | Refusal | Unreachable":
        questions = (("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._name), ("SENTINEL", "MASTER", self._name))
        try:
            found, details = await self._ask(server, questions)
        except (RedisError, OSError) as error:
            return Unreachable(str(error) or type(error).__name__)
        if isinstance(found, RedisError):
            return Refusal(f"it answers {found}")
        if not found:
            return Refusal(f"it knows no master {self._name!r}")
        named = (found[0].decode(), int(found[1]))
        return _view(named, details)

    def _complaint(self, answers: Mapping[Server, object]) -> str:
        """Return why no sentinel names the master, with the reason of each."""
        reasons = "; ".join(f"{show_servers((server,))}: {answer}" for server, answer in answers.items())
        return f"no sentinel names the master {self._name!r} of Redis ({reasons})"


class Refusal(str):
    """Why a sentinel that answers names no master."""

    __slots__ = ()


class Unreachable(str):
    """Why a sentinel does not answer."""

    __slots__ = ()


def _retrieve(task: "asyncio.Task[Server]") -> None:
    """Take the error of a question that nobody waits for any more."""
    if not task.cancelled():
        task.exception()


def _has_view(task: "asyncio.Task[View | Refusal | Unreachable]") -> bool:
    return task.done() and isinstance(task.result(), View)


async def _wait(tasks: Sequence["asyncio.Task[Any]"], by_s: float) -> None:
    await asyncio.wait(tasks, timeout=max(0, by_s - asyncio.get_running_loop().time()))


def _view(named: Server, details: Any) -> View:  # noqa: ANN401 - a reply of the server
    """Read the reply to SENTINEL MASTER. A sentinel may refuse it; then all views are equally new."""
    if isinstance(details, RedisError):
        return View(named, 0, is_failing_over=False)
    texts = [item.decode() for item in details]
    fields = dict(zip(texts[::2], texts[1::2], strict=True))
    is_old = named == (fields["ip"], int(fields["port"]))  # a promoted replica is named before it is the master here
    return View(named, int(fields["config-epoch"]), is_old and "failover_in_progress" in fields["flags"].split(","))
