"""Saying in the log of a run that nobody takes the tasks of some of its devices."""

from __future__ import annotations

from collections.abc import Iterable

from jobs.choices import LogLevel
from jobs.models import JobLog
from jobs.queues import zone_of
from jobs.selectors.queues import queues_served
from jobs.services.logs import job_log


def unserved_report(*, waiting: Iterable[tuple[int, str]]) -> int:
    """Say which queues no worker serves, once per run and queue; gives how many lines it took.

    ``waiting`` are ids of runs with the queues in which messages of theirs were not answered. While
    nothing is known of any worker nothing is said.
    """
    served = queues_served()
    if served is None:
        return 0
    said = 0
    for run_id, queue in sorted(set(waiting)):
        if queue not in served:
            said += _say_once(run_id, _nobody_serves(queue))
    return said


def _nobody_serves(queue: str) -> str:
    zone = zone_of(queue)
    option = f"--queues {queue}" if zone is None else f"--zone {zone}"
    return (
        f"no worker serves the queue {queue}: its devices wait until one does, or until the run's "
        f"deadline; on a host that reaches them run 'python manage.py worker {option}'"
    )


def _say_once(run_id: int, message: str) -> bool:
    if JobLog.objects.filter(run=run_id, message=message).exists():
        return False
    job_log(run=run_id, level=LogLevel.WARNING, message=message)
    return True
