"""A run as somebody watches it: how far it is, its devices by what matters, the log of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from django.db.models import Case, Count, IntegerField, Q, QuerySet, Value, When
from django.db.models.functions import Now

from inventory.models import Device
from jobs.choices import FAILURE_STATUSES, FINAL_RESULT_STATUSES, OPEN_RUN_STATUSES, ResultStatus
from jobs.models import ConnectionLog, DeviceResult, JobLog, JobRun
from jobs.policy.transitions import RETRYABLE_STATUSES
from jobs.selectors.visibility import results_in

_RATE_WINDOW = timedelta(minutes=1)
#: Lines of one log that are shown with a device; a session writes a few.
_LINES = 200


class StatusGroup(StrEnum):
    """Device results by how much they matter to somebody who watches, the most first."""

    FAILURES = "failures"
    RUNNING = "running"
    WAITING = "waiting"
    DONE = "done"


STATUSES: Mapping[StatusGroup, frozenset[ResultStatus]] = {
    StatusGroup.FAILURES: FAILURE_STATUSES,
    StatusGroup.RUNNING: frozenset({ResultStatus.RUNNING}),
    StatusGroup.WAITING: frozenset({ResultStatus.RETRYING, ResultStatus.PENDING}),
    StatusGroup.DONE: frozenset({ResultStatus.SUCCEEDED, ResultStatus.CANCELLED}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunProgress:
    """How far a run is. ``counts`` are devices by status, without those that have none."""

    counts: Mapping[str, int]
    #: Devices that ended per minute: within the last one, or in the whole of an ended run. None
    #: where that says nothing.
    per_minute: float | None

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def ended(self) -> int:
        return sum(self.counts.get(status, 0) for status in FINAL_RESULT_STATUSES)

    @property
    def succeeded(self) -> int:
        return self.counts.get(ResultStatus.SUCCEEDED, 0)

    @property
    def failures(self) -> int:
        return self.of(StatusGroup.FAILURES)

    @property
    def running(self) -> int:
        return self.of(StatusGroup.RUNNING)

    @property
    def waiting(self) -> int:
        return self.of(StatusGroup.WAITING)

    @property
    def retryable(self) -> int:
        return sum(self.counts.get(status, 0) for status in RETRYABLE_STATUSES)

    def of(self, group: StatusGroup) -> int:
        """How many devices are among these."""
        return sum(self.counts.get(status, 0) for status in STATUSES[group])


def progress_of(*, run: JobRun, scope: QuerySet[Device] | None) -> RunProgress:
    """How far ``run`` is with its devices in ``scope`` (None = all); one query."""
    lately = Count("pk", filter=Q(finished_at__gt=Now() - _RATE_WINDOW))
    rows = list(
        results_in(run=run, scope=scope)
        .order_by()
        .values_list("status")
        .annotate(count=Count("pk"), lately=lately)
    )
    counts = {status: count for status, count, _ in rows}
    rate: float | None = float(sum(lately for *_, lately in rows))
    if run.status not in OPEN_RUN_STATUSES:
        ended = sum(counts.get(status, 0) for status in FINAL_RESULT_STATUSES)
        rate = ended * 60 / run.duration_seconds if run.duration_seconds else None
    return RunProgress(counts=counts, per_minute=rate)


def results_by_group(*, run: JobRun, scope: QuerySet[Device] | None) -> QuerySet[DeviceResult]:
    """The devices of ``run`` in ``scope``, failures first, then running, waiting, done."""
    place = Case(
        *(
            When(status__in=statuses, then=Value(place))
            for place, statuses in enumerate(STATUSES.values())
        ),
        output_field=IntegerField(),
    )
    results = results_in(run=run, scope=scope).select_related("snapshot")
    return results.defer("snapshot__pending_text").order_by(place, "hostname", "pk")


def logs_of_result(*, result: DeviceResult) -> tuple[list[ConnectionLog], list[JobLog]]:
    """How the sessions of one device in its run went, and what the job log says of it.

    The oldest first, at most 200 lines each; nothing for a device that was deleted. Two queries.
    """
    if result.device_id is None:
        return [], []
    wanted = Q(run=result.run_id, device=result.device_id)
    sessions = ConnectionLog.objects.filter(wanted).order_by("id")[:_LINES]
    job = JobLog.objects.filter(wanted).order_by("id")[:_LINES]
    return list(sessions), list(job)
