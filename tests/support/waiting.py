"""Waiting for conditions instead of sleeping. Nothing here needs Django set up."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from jobs.choices import FINAL_RUN_STATUSES

if TYPE_CHECKING:
    from jobs.models import JobRun


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Return as soon as ``condition`` holds; fail naming ``what`` after ``seconds``."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds:g} s for {what}")
        time.sleep(0.05)


def wait_for_end(run: JobRun, seconds: float = 60) -> JobRun:
    """The run once it has ended."""

    def ended() -> bool:
        run.refresh_from_db()
        return run.status in FINAL_RUN_STATUSES

    wait_for(ended, f"the end of run {run.pk}", seconds)
    return run
