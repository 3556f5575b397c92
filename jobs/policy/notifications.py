"""What people are told about: which event a row is, and how urgent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from backups.engine.errors import ErrorCategory
from jobs.choices import FINAL_RUN_STATUSES, EventKind, ResultStatus, RunStatus, Severity

SEVERITIES: Mapping[EventKind, Severity] = {
    EventKind.CONFIG_CHANGED: Severity.INFO,
    EventKind.RUN_FAILED: Severity.CRITICAL,
    EventKind.RUN_PARTIAL: Severity.WARNING,
    EventKind.RUN_RECOVERED: Severity.INFO,
    EventKind.DEVICE_FAILING: Severity.WARNING,
    EventKind.DEVICE_RECOVERED: Severity.INFO,
    EventKind.SUSPECT: Severity.WARNING,
    EventKind.HOST_KEY_CHANGED: Severity.CRITICAL,
    EventKind.FRESHNESS_MISSED: Severity.WARNING,
    EventKind.PUSH_FAILING: Severity.WARNING,
    EventKind.PUSH_RECOVERED: Severity.INFO,
    EventKind.AUDIT_BROKEN: Severity.CRITICAL,
}
_ORDER = tuple(Severity)
#: Statuses of a device that say whether it can be backed up; others leave it as it was.
TELLING_RESULT_STATUSES = frozenset(
    {ResultStatus.SUCCEEDED, ResultStatus.FAILED, ResultStatus.ERRORED, ResultStatus.SUSPECT}
)
#: The same for runs: one that was cancelled, or had nothing to do, says nothing.
TELLING_RUN_STATUSES = FINAL_RUN_STATUSES - {
    RunStatus.CANCELLED,
    RunStatus.COMPLETED_NO_DEVICES,
}
MAX_ATTEMPTS = 10
_FIRST_PAUSE, _LONGEST_PAUSE = 30.0, 3600.0


@dataclass(frozen=True, slots=True)
class EventDecision:
    """An event, and whether it is another one than last time."""

    kind: EventKind
    is_change: bool


def is_urgent_enough(severity: Severity, *, least: Severity) -> bool:
    """Whether ``severity`` is ``least`` or more."""
    return _ORDER.index(severity) >= _ORDER.index(least)


def run_decision(*, status: RunStatus, before: RunStatus | None) -> EventDecision | None:
    """What the end of a run is worth telling; ``before`` is how the job's last telling run ended.

    None where nothing is to be told.
    """
    if status not in TELLING_RUN_STATUSES:
        return None
    kind, last = _run_kind(status), None if before is None else _run_kind(before)
    if kind is EventKind.RUN_RECOVERED:
        return None if last in {None, kind} else EventDecision(kind, True)
    return EventDecision(kind, kind is not last)


def device_decision(
    *,
    status: ResultStatus,
    category: str,
    before: ResultStatus | None,
    category_before: str,
) -> EventDecision | None:
    """The same for a device of a run, by its status and error category and those before."""
    if status not in TELLING_RESULT_STATUSES:
        return None
    kind, last = _device_kind(status, category), _device_kind(before, category_before)
    if kind is EventKind.DEVICE_RECOVERED:
        return None if last in {None, kind} else EventDecision(kind, True)
    assert kind is not None  # of telling statuses
    return EventDecision(kind, kind is not last)


def pause_seconds(*, failures: int) -> float:
    """How long a target is left alone after so many failures in a row (1 or more)."""
    return min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(failures - 1, 16))


def _run_kind(status: RunStatus) -> EventKind:
    if status == RunStatus.COMPLETED_SUCCESS:
        return EventKind.RUN_RECOVERED
    if status == RunStatus.COMPLETED_PARTIAL_FAILURE:
        return EventKind.RUN_PARTIAL
    return EventKind.RUN_FAILED


def _device_kind(status: ResultStatus | None, category: str) -> EventKind | None:
    if status is None:
        return None
    if status == ResultStatus.SUCCEEDED:
        return EventKind.DEVICE_RECOVERED
    if category == ErrorCategory.HOST_KEY:
        return EventKind.HOST_KEY_CHANGED
    return EventKind.SUSPECT if status == ResultStatus.SUSPECT else EventKind.DEVICE_FAILING
