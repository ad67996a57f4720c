"""Every request and answer of the senders, recorded as it happens, for the checker to read afterwards."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Self


@dataclass(frozen=True, slots=True)
class ExpectedPayment:
    """The payment as it is after one event, as the sender knows it. Totals in minor units."""

    payment: str
    amount: int
    captured: int = 0
    refunded: int = 0
    disputed: int = 0
    succeeded: bool = False
    failed: bool = False


@dataclass(slots=True)
class EventHistory:
    """One event: its payment, and the answers to all its deliveries (0: no answer, or it was lost)."""

    event: str
    expected: ExpectedPayment
    body_sha: str
    statuses: list[int] = field(default_factory=list)
    entry_ids: list[str] = field(default_factory=list)

    @property
    def is_promised(self) -> bool:
        """Whether its sender was expected that it is safe."""
        return any(200 <= status < 300 for status in self.statuses)


class History:
    """Events by id. Every change is a line of the file, where there is one, before anything else happens."""

    def __init__(self, path: Path | None = None) -> None:
        self.events: dict[str, EventHistory] = {}
        self.statuses: dict[int, int] = {}
        self.faults: list[str] = []
        self.promised = 0
        """How many events were answered 2xx at least once."""
        self.accepted: list[tuple[float, str | None]] = []
        """When there was a 2xx, by the monotonic clock, and the entry that it named."""
        self._file: IO[str] | None = path.open("w") if path else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """No more lines; the events stay."""
        if self._file:
            self._file.close()
            self._file = None

    def sends(self, event: str, expected: ExpectedPayment, body_sha: str) -> None:
        """An event is about to be sent for the first time."""
        self.events[event] = EventHistory(event, expected, body_sha)
        expected_fields = {name: getattr(expected, name) for name in ExpectedPayment.__slots__}
        self._write({"op": "sends", "event": event, "sha": body_sha, "expected": expected_fields})

    def answered(self, event: str, status: int, entry_id: str | None) -> None:
        """One delivery was answered; 0 where no answer came."""
        sent = self.events[event]
        was_promised = sent.is_promised
        sent.statuses.append(status)
        self.promised += sent.is_promised - was_promised
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if 200 <= status < 300:
            self.accepted.append((time.monotonic(), entry_id))
        if entry_id is not None:
            sent.entry_ids.append(entry_id)
        self._write({"op": "answered", "event": event, "status": status, "entry_id": entry_id})

    def fault(self, what: str) -> None:
        """Something was broken, or healed."""
        self.faults.append(what)
        self._write({"op": "fault", "what": what})

    def _write(self, line: Mapping[str, Any]) -> None:
        if self._file:
            self._file.write(json.dumps({"at_s": round(time.monotonic(), 4), **line}) + "\n")


def read(path: Path) -> History:
    """Read the history from a file."""
    history = History()
    with path.open() as file:
        for text in file:
            line = json.loads(text)
            match line["op"]:
                case "sends":
                    history.sends(line["event"], ExpectedPayment(**line["expected"]), line["sha"])
                case "answered":
                    history.answered(line["event"], line["status"], line["entry_id"])
                case "fault":
                    history.fault(line["what"])
    return history
