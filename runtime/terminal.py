"""Standard output for people: what cannot be seen in a text from outside is written as an escape."""

import io
import sys

from contract.text import escaped


class EscapingOutput(io.TextIOBase):
    """Standard output, or the stream that took its place. Ids come from senders, and may hold any character."""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream."""
        return sys.stdout.encoding or "utf-8"

    def write(self, text: str) -> int:
        """Write a text, with its invisible characters escaped."""
        sys.stdout.write(escaped(text))
        return len(text)

    def flush(self) -> None:
        """Write what is held back."""
        sys.stdout.flush()

    def isatty(self) -> bool:
        """Return whether a terminal shows it."""
        return sys.stdout.isatty()

    def fileno(self) -> int:
        """Return the number of the file."""
        return sys.stdout.fileno()
