"""Progress of long work, for a person or a log, with the time that is left."""

from __future__ import annotations

import sys
import time
from typing import TextIO

_LINE_EVERY = 10.0  # seconds between lines where the output is no terminal
_BAR = 28


class Progress:
    """One line that redraws itself on a terminal; elsewhere a line every ten seconds."""

    def __init__(self, label: str, total: int, done: int = 0, stream: TextIO | None = None) -> None:
        """Start the clock; `done` of `total` units were done before and cost nothing now."""
        self.label, self.total, self.first = label, total, done
        self.stream = stream or sys.stderr
        self.started = time.monotonic()
        self.last = float("-inf")

    def update(self, done: int, note: str = "") -> None:
        """Show that `done` units are done; `note` is a few words more."""
        now = time.monotonic()
        terminal = self.stream.isatty()
        finished = done >= self.total
        if not finished and now - self.last < (0.2 if terminal else _LINE_EVERY):
            return
        self.last = now
        line = f"{self.label} {self._bar(done)} {done}/{self.total} {self._left(done, now)} {note}".rstrip()
        self.stream.write(f"\r\x1b[K{line}" + ("\n" if finished else "") if terminal else line + "\n")
        self.stream.flush()

    def _bar(self, done: int) -> str:
        full = round(_BAR * done / max(self.total, 1))
        return "█" * full + "░" * (_BAR - full)

    def _left(self, done: int, now: float) -> str:
        spent = now - self.started
        if done >= self.total:
            return f"in {duration(spent)}"
        if done <= self.first:
            return "starting"
        return f"{duration(spent / (done - self.first) * (self.total - done))} left"


def duration(seconds: float) -> str:
    """Return seconds as `3 h 05 min`, `4 min 10 s` or `12 s`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
