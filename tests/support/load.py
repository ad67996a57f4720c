"""Senders that behave as payment providers do: they sign, repeat, shuffle, and retry until they get a 2xx."""

import asyncio
import hashlib
import itertools
import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.support.events import Signed, signed_stripe, stripe_event
from tests.support.history import ExpectedPayment, History
from tests.support.wait import until

ANSWER_TIMEOUT_S = 3.0
"""How long a sender waits for an answer before it counts the delivery as failed."""

RETRY_PAUSE_S = 0.1
"""How long it waits before it delivers again, jittered. Providers wait minutes; tests have seconds."""

PAYMENTS_SHUFFLED_AT_ONCE = 10

NO_ANSWER = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a gateway said; `status` 0 where it said nothing."""

    status: int
    document: dict[str, Any]


async def deliver(session: aiohttp.ClientSession, url: str, signed: Signed, **headers: str) -> Answer:
    """Posts one signed event. Raises what aiohttp raises."""
    async with session.post(url + signed.path, data=signed.body, headers={**signed.headers, **headers}) as response:
        return Answer(response.status, await response.json(content_type=None))


def client() -> aiohttp.ClientSession:
    """A sender's session: many connections, and no patience."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=ANSWER_TIMEOUT_S)
    )


@dataclass(frozen=True, slots=True)
class Sent:
    """One event as it will be delivered, and the payment after it."""

    event: dict[str, Any]
    expected: ExpectedPayment


def history_of(payment: str, rng: random.Random) -> list[Sent]:
    """The life of one payment: created, then failed or succeeded, then perhaps refunded or disputed."""
    amount = rng.randrange(100, 100_000)
    refunded = rng.randrange(1, amount + 1)

    def step(type_: str, fields: dict[str, Any] | None = None, **facts: Any) -> Sent:
        event = stripe_event(f"evt_{payment}_{type_}", payment, type_, amount=amount, fields=fields)
        return Sent(event, ExpectedPayment(payment, **{"amount": amount} | facts))

    charge = {"id": f"ch_{payment}", "object": "charge", "payment_intent": payment}
    life = [
        step("payment_intent.created"),
        step("payment_intent.payment_failed", failed=True),
        step("payment_intent.succeeded", captured=amount, succeeded=True),
        step("charge.refunded", charge | {"amount_captured": amount, "amount_refunded": refunded},
             captured=amount, refunded=refunded, succeeded=True),
        step("charge.dispute.created", {"id": f"dp_{payment}", "payment_intent": payment}, amount=0, disputed=amount),
    ]  # fmt: skip
    return life[: rng.randrange(1, len(life) + 1)]


class Load:
    """Senders under way. `urls()` gives the gateways to choose from, as they are now.

    They send new payments until `finish()` is called or `payments` of them were sent; then they go on until each event
    was promised. `copies` is how often each event is delivered on purpose.
    """

    def __init__(
        self, urls: Callable[[], Sequence[str]], history: History, *, seed: int = 1, senders: int = 12, copies: int = 2,
        payments: int | None = None, prefix: str = "pi",
    ) -> None:  # fmt: skip
        self.history = history
        self._urls = urls
        self._rng = random.Random(seed)
        self._senders = senders
        self._copies = copies
        self._numbers = itertools.count(1) if payments is None else iter(range(1, payments + 1))
        self._prefix = prefix
        self._again: deque[Sent] = deque()
        self._pausing = 0
        self._finishing = asyncio.Event()
        self._something = asyncio.Event()
        self._plan = self._shuffled()
        self.events: dict[str, dict[str, Any]] = {}
        """Everything sent so far, as a provider's list of events."""
        self.deliveries = 0
        self.refusals = 0
        self.is_over = False

    def finish(self) -> None:
        """Nothing new is sent any more; what was sent is still delivered until it is promised."""
        self._finishing.set()
        self._something.set()

    async def run(self) -> None:
        """Sends until it is over."""
        async with client() as session, asyncio.TaskGroup() as group:
            for _ in range(self._senders):
                group.create_task(self._send(session))
        self.is_over = True

    async def promised(self, more: int, timeout_s: float = 30.0) -> None:
        """Wait until this many more events were answered 2xx."""
        goal = self.history.promised + more
        await until(
            lambda: self.history.promised >= goal,
            timeout_s=timeout_s,
            what=f"{goal} events are promised (answers: {self.history.statuses})",
        )

    async def ended(self, more: int, timeout_s: float = 30.0) -> None:
        """Wait until this many more deliveries have ended, whatever the answer, or all have."""
        goal = self.deliveries + more
        await until(lambda: self.deliveries >= goal or self.is_over, timeout_s=timeout_s, what=f"{goal} have ended")

    async def refused(self, more: int, timeout_s: float = 30.0) -> None:
        """Wait until this many more deliveries were answered with no 2xx, or not at all."""
        goal = self.refusals + more
        await until(lambda: self.refusals >= goal, timeout_s=timeout_s, what=f"{goal} deliveries are refused")

    async def _send(self, session: aiohttp.ClientSession) -> None:
        while (sent := await self._next()) is not None:
            await self._deliver(session, sent)

    async def _next(self) -> Sent | None:
        while True:
            if self._again:
                return self._again.popleft()
            if not self._finishing.is_set():
                if (sent := next(self._plan, None)) is not None:
                    return sent
                self.finish()
            if not self._pausing:
                self._something.set()
                return None
            self._something.clear()
            await self._something.wait()

    async def _deliver(self, session: aiohttp.ClientSession, sent: Sent) -> None:
        signed = signed_stripe(sent.event)
        if signed.event_id not in self.events:
            self.events[signed.event_id] = sent.event
            self.history.sends(signed.event_id, sent.expected, hashlib.sha256(signed.body).hexdigest())
        try:
            answer = await deliver(session, self._rng.choice(self._urls()), signed)
        except (aiohttp.ClientError, TimeoutError):
            answer = Answer(NO_ANSWER, {})
        self.deliveries += 1
        self.history.answered(signed.event_id, answer.status, answer.document.get("entry_id"))
        if not 200 <= answer.status < 300:
            self.refusals += 1
            self._pausing += 1
            pause_s = RETRY_PAUSE_S * self._rng.uniform(0.5, 1.5)
            asyncio.get_running_loop().call_later(pause_s, self._deliver_again, sent)

    def _deliver_again(self, sent: Sent) -> None:
        self._pausing -= 1
        self._again.append(sent)
        self._something.set()

    def _shuffled(self) -> Iterator[Sent]:
        while numbers := list(itertools.islice(self._numbers, PAYMENTS_SHUFFLED_AT_ONCE)):
            deliveries = [
                sent
                for number in numbers
                for sent in history_of(f"{self._prefix}_{number}", self._rng)
                for _ in range(self._copies)
            ]
            self._rng.shuffle(deliveries)
            yield from deliveries
