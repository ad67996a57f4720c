"""The master that sentinels or the nodes of a cluster name, as of their newest view."""

import asyncio
import math
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from redis.crc import key_slot
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from runtime.addresses import Server
from runtime.redis_address import show_servers

ANSWERS_WITHIN_S = 0.5
"""How long those asked may take to answer where fewer than half of them have answered."""

SENTINELS_SETTLED_S, CLUSTERS_SETTLED_S = 5.0, 0.5
"""How long those asked take at most to know of a replica that was promoted and has left its master. Sentinels look at
it every second then, and greet every two. In a cluster it says so at once, to all nodes."""

SENTINELS_VIEW_HOLDS_S, CLUSTERS_VIEW_HOLDS_S = 0.2, 0.4
"""How long an answer counts for what is confirmed. A sentinel takes a tenth of a second for each of three steps before
it promotes, and sends the other replicas away after that. In a cluster a replica may be elected at once (Valkey 9), and
the others leave the old master as soon as they hear of it, which then has nobody left to confirm."""

Ask = Callable[[Server, Sequence[tuple[str, ...]]], Awaitable[Sequence[Any]]]
"""Sends commands to a server over a connection of their own; returns each reply, which may be an error it answered."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class View:
    """What one of those asked says about the master: the higher its epoch, the newer."""

    server: Server
    epoch: int
    is_failing_over: bool
    """Whether it is promoting a replica, and has not done so yet."""


class NewestView(ABC):
    """The master that those asked name: sentinels, or nodes of a cluster.

    All are asked at once, because the first that answers may be behind, or cut off with an old master. The newest view
    counts; one that is older than what we know counts only if more than half of them have answered.
    """

    moves = True
    holds_s = SENTINELS_VIEW_HOLDS_S
    settled_s = SENTINELS_SETTLED_S

    def __init__(self, asked: tuple[Server, ...], master: str, ask: Ask) -> None:
        """`master`: what a sentence calls it, with those asked."""
        self._asked = asked
        self._master = master
        self._ask = ask
        self._silent: set[Server] = set()
        """Those that did not answer in time when they were last waited for. They are not waited for again."""
        self._known: View | None = None
        self._is_alone = False
        """Whether nobody answered the last time."""
        self._asking: asyncio.Task[Server] | None = None
        self._heard = 0
        """How many named a master the last time."""
        self._steady_since_s = math.inf
        """Since when more than half of them name the same master, and none replaces it."""
        self._asked_at_s = -math.inf
        """When the last question began that was answered."""

    def __repr__(self) -> str:
        return f"<{self._master}, says {show_servers(self._asked)}>"

    @abstractmethod
    async def _view_of(self, server: Server) -> "View | Refusal":
        """Return what one of those asked says. Raises RedisError, OSError."""

    async def find(self) -> Server:
        """Return the master, or the last one known if nobody answers.

        Raises RedisConnectionError if no master is known, or while it is being replaced: what the old one accepts then
        is lost.
        Several connections that ask at once share one answer.
        """
        if self._asking is None or self._asking.done() or self._asking.get_loop() is not asyncio.get_running_loop():
            self._asking = asyncio.create_task(self._find())
            self._asking.add_done_callback(_retrieve)
        return await asyncio.shield(self._asking)

    async def require(self, server: Server | None) -> None:
        """Raise RedisConnectionError unless this server is the master, by an answer at most `holds_s` old.

        A master that froze and was replaced takes writes when it wakes up, and replicas that have not been sent away
        yet confirm them. What was asked before says nothing of that.
        """
        if asyncio.get_running_loop().time() - self._asked_at_s > self.holds_s:
            await self.find()
        if server is None or self.replaced(server):
            raise RedisConnectionError(f"{self._master} was replaced before it confirmed")

    async def _find(self) -> Server:
        began_s = asyncio.get_running_loop().time()
        server = await self._find_now()
        self._asked_at_s = began_s
        return server

    async def _find_now(self) -> Server:
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
            log.warning("nobody says where Redis is; the last known server is used", sought=self._master)
        self._is_alone = True
        return self._known.server

    def fell_silent(self) -> None:
        """Note that connecting to the server took too long: those asked may be about to replace it."""
        self._steady_since_s = math.inf

    def replaced(self, server: Server) -> bool:
        """Return whether another master was named since this one was found."""
        return self._known is not None and self._known.server != server

    async def is_settled(self, since_s: float) -> bool:
        """Return whether no replica that has left since then is being promoted. One of those asked that does not answer
        may just be doing that: once it is done, or has failed, the others know it within `settled_s`.
        """
        try:
            await self._find()  # a question that is under way may be older than what is asked here
        except RedisError:
            return False
        steady_s = asyncio.get_running_loop().time() - max(self._steady_since_s, since_s)
        return self._heard == len(self._asked) or steady_s >= self.settled_s

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
            raise RedisConnectionError(f"{self._master} is being replaced")
        return newest.server

    def _is_majority(self, count: int) -> bool:
        return 2 * count > len(self._asked)

    async def _ask_all(self) -> dict[Server, "View | Refusal | Unreachable"]:
        """Return what each of them answered, once all that usually do have answered, or time is over."""
        tasks = {server: asyncio.create_task(self._ask_one(server)) for server in self._asked}
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
        try:
            return await self._view_of(server)
        except (RedisError, OSError) as error:
            return Unreachable(str(error) or type(error).__name__)

    def _complaint(self, answers: Mapping[Server, object]) -> str:
        """Return why nobody names the master, with the reason of each."""
        reasons = "; ".join(f"{show_servers((server,))}: {answer}" for server, answer in answers.items())
        return f"nobody names {self._master} ({reasons})"


class Refusal(str):
    """Why one that answers names no master."""

    __slots__ = ()


class Unreachable(str):
    """Why one does not answer."""

    __slots__ = ()


def _retrieve(task: "asyncio.Task[Server]") -> None:
    """Take the error of a question that nobody waits for any more."""
    if not task.cancelled():
        task.exception()


def _has_view(task: "asyncio.Task[View | Refusal | Unreachable]") -> bool:
    return task.done() and isinstance(task.result(), View)


async def _wait(tasks: Sequence["asyncio.Task[Any]"], by_s: float) -> None:
    await asyncio.wait(tasks, timeout=max(0, by_s - asyncio.get_running_loop().time()))


class SentinelMaster(NewestView):
    """The master that the sentinels know by a name."""

    def __init__(self, sentinels: tuple[Server, ...], name: str, ask: Ask) -> None:
        super().__init__(sentinels, f"the master {name!r} of Redis", ask)
        self._name = name

    async def _view_of(self, server: Server) -> View | Refusal:
        questions = (("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._name), ("SENTINEL", "MASTER", self._name))
        found, details = await self._ask(server, questions)
        if isinstance(found, RedisError):
            return Refusal(f"it answers {found}")
        if not found:
            return Refusal(f"it knows no master {self._name!r}")
        named = (found[0].decode(), int(found[1]))
        if isinstance(details, RedisError):  # a right that it may refuse; then all views are equally new
            return View(named, 0, is_failing_over=False)
        texts = [item.decode() for item in details]
        fields = dict(zip(texts[::2], texts[1::2], strict=True))
        # A promoted replica is named before it is the master here.
        is_old = named == (fields["ip"], int(fields["port"]))
        is_failing_over = is_old and "failover_in_progress" in fields["flags"].split(",")
        return View(named, int(fields["config-epoch"]), is_failing_over)


class ClusterMaster(NewestView):
    """The node of a cluster that owns the slot of a partition's keys."""

    holds_s = CLUSTERS_VIEW_HOLDS_S
    settled_s = CLUSTERS_SETTLED_S

    def __init__(self, nodes: tuple[Server, ...], partition: int, ask: Ask, *, by_name: bool) -> None:
        """`by_name`: the certificate's name is verified, so that nodes are reached by the names they announce."""
        self._slot = slot_of(partition)
        super().__init__(nodes, f"the node of slot {self._slot} of the Redis cluster", ask)
        self._by_name = by_name

    async def _view_of(self, server: Server) -> View | Refusal:
        (reply,) = await self._ask(server, (("CLUSTER", "NODES"),))
        if isinstance(reply, RedisError):
            return Refusal(f"it answers {reply}")
        for line in reply.decode().splitlines():
            _, address, flags, _, _, _, epoch, _, *slots = line.split()
            if any(_has(each, self._slot) for each in slots):
                return View(self._node(address, server), int(epoch), "fail" in flags.split(","))
        return Refusal(f"it knows nobody who has slot {self._slot}")

    def _node(self, text: str, asked: Server) -> Server:
        """Read `ip:port@busport[,hostname[,name=value]]`. A node that has met no other does not know its own ip."""
        address, *others = text.split(",")
        host, _, port = address.partition("@")[0].rpartition(":")
        name = others[0] if self._by_name and others and "=" not in others[0] else ""
        return name or host or asked[0], int(port)


def slot_of(partition: int) -> int:
    """Return the slot of a partition's keys: that of its hash tag."""
    return key_slot(str(partition).encode())


def _has(slots: str, slot: int) -> bool:
    """Return whether `first-last`, or one number, has the slot. A slot in brackets is on its way, and not there yet."""
    if slots.startswith("["):
        return False
    first, _, last = slots.partition("-")
    return int(first) <= slot <= int(last or first)
