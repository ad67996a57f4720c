"""localstripe, an imitation of Stripe with a state of its own (PyPI, GPL): a process of its own, on loopback.

`python -m tests.support.local_stripe PORT BEHIND_S` runs it. Its own program would listen on every address, and write
its store to a file of a fixed name. Its clock goes behind ours, so that what happens there is not too young to be
missing.
"""

import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace

import aiohttp
from aiohttp import web

from stack.ports import HOST, free_port
from tests.support.processes import Programs
from tests.support.wait import until

SECRET = "whsec_of_localstripe"
KEY = "sk_test_localstripe"
BEHIND_S = 3600


@asynccontextmanager
async def local_stripe(programs: Programs) -> AsyncIterator[str]:
    """Run it for the length of a block. Yield its address."""
    port = free_port()
    url = f"http://{HOST}:{port}"
    child = programs.start("tests.support.local_stripe", {}, (str(port), str(BEHIND_S)))

    async def answers(session: aiohttp.ClientSession) -> bool:
        assert child.is_running, child.log
        try:
            async with session.get(f"{url}/v1/events", headers={"Authorization": f"Bearer {KEY}"}) as answer:
                return answer.status == 200
        except aiohttp.ClientConnectionError:
            return False

    async with aiohttp.ClientSession() as session:
        await until(lambda: answers(session), what="localstripe answers")
    try:
        yield url
    finally:
        child.kill()


async def send_webhooks(url: str, target: str) -> None:
    """Have it sign its events and send them to an address."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}/_config/webhooks/test", json={"url": target, "secret": SECRET}) as answer,
    ):
        answer.raise_for_status()


@dataclass
class Relay:
    """Passes two of three deliveries on to a gateway, and loses the third after answering 200. `url` is its address."""

    url: str = ""
    target: str = ""
    passed: list[int] = field(default_factory=list)
    """The gateway's answers."""
    lost: int = 0
    _received: int = 0

    @property
    def answered(self) -> int:
        """How many deliveries were answered."""
        return len(self.passed) + self.lost

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Relay"]:
        """Serve on a free port."""
        app = web.Application()
        app.router.add_post("/", self._receive)
        runner = web.AppRunner(app)
        await runner.setup()
        async with aiohttp.ClientSession() as self._session:
            await web.TCPSite(runner, HOST, 0).start()
            host, port = runner.addresses[0][:2]
            self.url = f"http://{host}:{port}/"
            try:
                yield self
            finally:
                await runner.cleanup()

    async def _receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        self._received += 1
        if self._received % 3 == 0:
            self.lost += 1
            return web.Response()
        headers = {"Stripe-Signature": request.headers["Stripe-Signature"], "Content-Type": "application/json"}
        async with self._session.post(self.target, data=body, headers=headers) as answer:
            self.passed.append(answer.status)
            return web.Response(status=answer.status)


def main() -> None:
    """Serve until the process is killed. The store stays in memory."""
    from localstripe import resources, server  # noqa: PLC0415 - only this process has it

    port, behind_s = int(sys.argv[1]), int(sys.argv[2])
    resources.store.dump_to_disk = lambda: None
    resources.time = SimpleNamespace(time=lambda: time.time() - behind_s)
    web.run_app(server.app, host=HOST, port=port)


if __name__ == "__main__":
    main()
