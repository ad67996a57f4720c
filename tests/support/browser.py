"""A real Chromium that looks at a console, and whatever must not happen meanwhile."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Literal

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, Request, async_playwright

from tests.support.console import Client, RunningConsole

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")

FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
"""Nothing of the browser's own goes to a network."""

WIDTHS = {"desktop": 1280, "phone": 390}
HEIGHT = 900

TIMEOUT_MS = 20_000
"""How long a page may take on a busy machine before a test fails."""

SERIOUS = ("serious", "critical")

Theme = Literal["light", "dark"]

THEMES: tuple[Theme, ...] = ("light", "dark")


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Run Debian's Chromium, or the one that the environment variable CHROMIUM names."""
    if not _is_installed():
        raise FileNotFoundError(f"There is no {CHROMIUM}. Install Debian's package chromium, or set CHROMIUM.")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=list(FLAGS), chromium_sandbox=os.getuid() != 0
        )
        try:
            yield browser
        finally:
            await browser.close()


def _is_installed() -> bool:
    return Path(CHROMIUM).exists()


class Visitor:
    """Opens windows at a console, each with a profile of its own, and notes what must not happen in them."""

    def __init__(self, browser: Browser, console: RunningConsole, stack: AsyncExitStack) -> None:
        self.console = console
        self.found: list[str] = []
        self._browser = browser
        self._stack = stack

    async def window(
        self, person: Client | None = None, *, scripts: bool = True, width: int = 1280, theme: Theme = "light"
    ) -> Page:
        """Open a window, signed in as this person of the console. `scripts=False`: JavaScript is off."""
        context = await self._browser.new_context(
            java_script_enabled=scripts, viewport={"width": width, "height": HEIGHT}, color_scheme=theme
        )
        self._stack.push_async_callback(context.close)
        context.set_default_timeout(TIMEOUT_MS)
        self._watch(context)
        if person is not None:
            name, _, token = person.headers["Cookie"].partition("=")
            await context.add_cookies([{"name": name, "value": token, "url": self.console.url}])
        return await context.new_page()

    async def open(self, page: Page, path: str) -> None:
        """Go to a page of the console; it answers 200."""
        answer = await page.goto(self.console.url + path)
        assert answer is not None
        assert answer.status == 200, f"{path} answers {answer.status}: {await page.inner_text('main')}"

    def _watch(self, context: BrowserContext) -> None:
        def console(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning"):
                self.found.append(f"{message.type} in the browser's console: {message.text}")

        def request(request: Request) -> None:
            if not request.url.startswith((self.console.url + "/", "data:")):
                self.found.append(f"a request to another origin: {request.url}")

        def dialog(dialog: Dialog) -> None:
            self.found.append(f"a dialog: {dialog.message}")
            closing.add(asyncio.ensure_future(dialog.dismiss()))

        closing: set[Any] = set()
        context.on("console", console)
        context.on("request", request)
        context.on("dialog", dialog)
        context.on("weberror", lambda error: self.found.append(f"an error of a script: {error.error}"))


@asynccontextmanager
async def visiting(browser: Browser, console: RunningConsole) -> AsyncIterator[Visitor]:
    """Open windows while the block lasts; fail if a script failed, a policy was broken, or a request went elsewhere."""
    async with AsyncExitStack() as stack:
        visitor = Visitor(browser, console, stack)
        yield visitor
    assert not visitor.found, "\n".join(visitor.found)


async def accessibility_faults(page: Page) -> list[str]:
    """Return what axe-core finds serious or critical, with the elements."""
    results = await Axe().run(page)
    return [
        f"{fault['id']} ({fault['impact']}): {node['target']} {node['html'][:200]} {node.get('failureSummary', '')}"
        for fault in results.response["violations"]
        if fault["impact"] in SERIOUS
        for node in fault["nodes"]
    ]


async def is_too_wide(page: Page) -> bool:
    """Return whether the page as a whole has to be scrolled sideways."""
    return bool(await page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))


async def focused(page: Page) -> str:
    """Return the text, the label or the name of what has the focus."""
    return str(
        await page.evaluate(
            "(e => (e.labels && e.labels[0] ? e.labels[0].innerText : e.innerText || e.name || e.tagName).trim())"
            "(document.activeElement)"
        )
    )
