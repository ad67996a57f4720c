"""Whatever a list says, and whatever its server answers, nobody else is asked."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from contract.event import Event
from operations.reconcile.errors import ReconcileError
from providers.api import ApiError
from tests.support.events import contract_event
from tests.support.reconciling import NOW, SINCE, Reconciler
from tests.support.stand_ins.stand_in import Mishap, moved, status, text

_addresses: list[Any] | None = None


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.getaddrinfo") and _addresses is not None:
        _addresses.append(arguments[1][:2] if event == "socket.connect" and isinstance(arguments[1], tuple)
                          else arguments[0])  # fmt: skip


sys.addaudithook(_note)


@contextmanager
def connections() -> Iterator[list[Any]]:
    """Collect the addresses that this process connects to, and the names that it looks up."""
    global _addresses  # noqa: PLW0603 - an audit hook stays for ever
    _addresses = []
    try:
        yield _addresses
    finally:
        _addresses = None


def hostile(number: int, resource: str) -> Event:
    return contract_event(f"http://evil.example/{number}", resource, occurred_at=NOW.replace(microsecond=number))


HOSTILE = [hostile(n, each) for n, each in enumerate(["http://evil.example/x", "//evil.example", "../../x", "pi_1"])]

MISHAPS: dict[str, Mishap | None] = {
    "as documented": None,
    "a redirect": moved("http://evil.example/"),
    "a redirect to this machine": moved("http://127.0.0.1:9/"),
    "a proxy": status(305, Location="http://evil.example/"),
    "an answer that names hosts": text(b'{"data": [], "more": false, "next": "http://evil.example/"}'),
    "other work for later": status(503, Retry_After="0", Alt_Svc='h2="evil.example:443"'),
}


async def test_no_request_goes_to_another_host(reconciler: Reconciler, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://evil.example:3128")
    reconciler.listing.add(*(contract_event(e.event_id, e.resource, occurred_at=SINCE) for e in HOSTILE))
    for name, mishap in MISHAPS.items():
        reconciler.listing.mishaps.append(mishap)
        with connections() as made, suppress(ApiError, ReconcileError):
            await reconciler.run(repair=True)
        assert made, name
        assert "evil" not in repr(made), name
        assert ("127.0.0.1", 9) not in made, name
