"""Sessions under way in this process, and those whose thread does not come back.

The engine shuts a session's socket at its deadline, which wakes whoever waits for the device. A
thread that is stuck in anything else (a name server, a library, a disk) cannot be woken and cannot
be killed; all that is left is to give up its device and, when there are many, the process.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import transaction

from backups.engine.collector import NO_GUARD, Collector, LogInGuard, SessionLimits
from backups.engine.errors import ErrorCategory
from backups.engine.types import Collection, DeviceTarget
from credentials.secret import DeviceCredential
from inventory.platforms import PlatformDefinition
from jobs.choices import LogLevel
from jobs.models import DeviceResult
from jobs.policy import failure_status
from jobs.services.claims import Claim
from jobs.services.logs import connection_log, job_log
from jobs.services.results import claim_holds, result_fail

#: From the deadline, at which the socket is shut, to the moment at which a thread is given up.
GRACE_SECONDS = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class WatchedSession:
    """A session with a device; ``overdue_at`` is on the monotonic clock."""

    claim: Claim
    deadline_seconds: float
    overdue_at: float


_lock = threading.Lock()
_open: set[WatchedSession] = set()


class WatchedCollector:
    """A collector whose sessions for one claim are to be seen by the watchdog."""

    def __init__(self, collector: Collector, claim: Claim) -> None:
        self._collector = collector
        self._claim = claim

    def collect(
        self,
        target: DeviceTarget,
        credential: DeviceCredential,
        platform: PlatformDefinition,
        limits: SessionLimits,
        guard: LogInGuard = NO_GUARD,
    ) -> Collection:
        """See ``Collector.collect``."""
        with _watched(self._claim, limits.deadline):
            return self._collector.collect(target, credential, platform, limits, guard)


def sessions_overdue() -> list[WatchedSession]:
    """The sessions whose thread has not come back some seconds after their deadline."""
    now = time.monotonic()
    with _lock:
        return [session for session in _open if session.overdue_at <= now]


@transaction.atomic
def session_abandon(*, session: WatchedSession) -> bool:
    """Record that the device had its time. False when the claim is gone, or recorded before.

    Whatever the thread still does with its claim is written nowhere.
    """
    claim = session.claim
    if not claim_holds(claim=claim):
        return False
    category = ErrorCategory.DEADLINE
    message = (
        f"the session was not over {GRACE_SECONDS:g} s after its deadline of "
        f"{session.deadline_seconds:g} s, and its thread does not answer; look at the worker's log"
    )
    result_fail(claim=claim, status=failure_status(category), category=category, message=message)
    result = DeviceResult.objects.get(pk=claim.result_id)
    text = f"{result.hostname}: attempt {claim.attempt}: {category}: {message}; given up"
    connection_log(result=result, level=LogLevel.ERROR, message=text)
    job_log(run=result.run_id, device_id=result.device_id, level=LogLevel.ERROR, message=text)
    return True


@contextmanager
def _watched(claim: Claim, deadline_seconds: float) -> Iterator[None]:
    overdue_at = time.monotonic() + deadline_seconds + GRACE_SECONDS
    session = WatchedSession(claim, deadline_seconds, overdue_at)
    with _lock:
        _open.add(session)
    try:
        yield
    finally:
        with _lock:
            _open.discard(session)
