"""Moments that outlive a clock that is set: the wall's time, and the machine's own count of seconds beside it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Moment:
    """One moment: `wall` in seconds since 1970, which may jump; `steady` in seconds since the start of `boot`."""

    wall: float
    steady: float
    boot: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Moment:
        """Return the moment that `to_dict` gave."""
        return cls(float(record["wall"]), float(record["steady"]), str(record["boot"]))


Clock = Callable[[], Moment]


def now() -> Moment:
    """Return this moment. All processes of a machine share its steady count until it is started anew."""
    boot = _BOOT_ID.read_text().strip() if _BOOT_ID.is_file() else ""
    return Moment(time.time(), time.monotonic(), boot)


def elapsed(then: Moment, here: Moment) -> float:
    """Return the seconds between two moments, at least 0, however the wall's clock was set between them.

    Where the machine was started anew in between only the wall can tell; if it says that `then` is to come, it was
    set back, and the answer is infinite: nobody waits a day for what is over.
    """
    if then.boot == here.boot:
        return max(0.0, here.steady - then.steady)
    passed = here.wall - then.wall
    return passed if passed >= 0 else math.inf
