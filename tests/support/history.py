"""What senders did and what they were told, written down as it happens, so that a checker can judge it afterwards."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Self


@dataclass(frozen=True, slots=True)
class Told:
    """What one event tells of its payment, as the sender knows it. Totals in minor units."""

    payment: str
    amount: int
    captured: int = 0
    refunded: int = 0
    disputed: int = 0
    succeeded: bool = False
    failed: bool = False


@dataclass(slots=True)
class Story:
    """One event: what it tells, and the answers to all its deliveries (0: there was none, or it was lost)."""

    event: str
    told: Told
    body_sha: str
    statuses: list[int] = field(default_factory=list)
    entry_ids: list[str] = field(default_factory=list)

    @property
    def is_promised(self) -> bool:
        """Whether its sender was told that it is safe."""
        return any(200 <= status < 300 for status in self.statuses)


class History:
    """Stories by event. Every change is a line of the file, where there is one, before anything else happens."""

    def __init__(self, path: Path | None = None) -> None:
        self.stories: dict[str, Story] = {}
        self.statuses: dict[int, int] = {}
        self.faults: list[str] = []
        self.promised = 0
        """How many events were answered 2xx at least once."""
        self._file: IO[str] | None = path.open("w") if path else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """No more lines; the stories stay."""
        if self._file:
            self._file.close()
            self._file = None

    def sends(self, event: str, told: Told, body_sha: str) -> None:
        """An event is about to be sent for the first time."""
        self.stories[event] = Story(event, told, body_sha)
        told_fields = {name: getattr(told, name) for name in Told.__slots__}
        self._write({"op": "sends", "event": event, "sha": body_sha, "told": told_fields})

    def answered(self, event: str, status: int, entry_id: str | None) -> None:
        """One delivery was answered; 0 where no answer came."""
        story = self.stories[event]
        was_promised = story.is_promised
        story.statuses.append(status)
        self.promised += story.is_promised - was_promised
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if entry_id is not None:
            story.entry_ids.append(entry_id)
        self._write({"op": "answered", "event": event, "status": status, "entry_id": entry_id})

    def fault(self, what: str) -> None:
        """Something was broken, or healed."""
        self.faults.append(what)
        self._write({"op": "fault", "what": what})

    def _write(self, line: Mapping[str, Any]) -> None:
        if self._file:
            self._file.write(json.dumps({"at_s": round(time.monotonic(), 4), **line}) + "\n")


def read(path: Path) -> History:
    """The history a file tells."""
    history = History()
    with path.open() as file:
        for text in file:
            line = json.loads(text)
            match line["op"]:
                case "sends":
                    history.sends(line["event"], Told(**line["told"]), line["sha"])
                case "answered":
                    history.answered(line["event"], line["status"], line["entry_id"])
                case "fault":
                    history.fault(line["what"])
    return history
