"""When the schedule names the next run, as Prefect's own scheduler counts."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime

from pipeline.params import Retrain


def next_due(settings: Retrain, after: float) -> float | None:
    """Return when `retrain.cron` comes next after a moment, in seconds since 1970; None if Prefect cannot say."""
    found: list[float] = []

    def work() -> None:
        from prefect.server.schemas.schedules import CronSchedule  # half a second, and only after a run

        schedule = CronSchedule(cron=settings.cron, timezone=settings.timezone)
        # The moment itself is passed over: a run that ends in the minute of its beginning is not its own successor.
        dates = asyncio.run(schedule.get_dates(2, datetime.fromtimestamp(after, UTC)))
        found.extend(date.timestamp() for date in dates if date.timestamp() > after)

    def quietly() -> None:
        try:
            work()
        except Exception:
            return

    # In a thread of its own: a flow may have an event loop running in this one.
    thread = threading.Thread(target=quietly)
    thread.start()
    thread.join()
    return found[0] if found else None
