"""Answers the planned times of jobs: each once, whoever notices it and however often."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from celery import shared_task
from django.db import DatabaseError, transaction
from django.utils import timezone

from jobs.choices import ScheduleType, Trigger
from jobs.launch import request_run
from jobs.models import Job, JobRun
from jobs.schedule_rules import Action, Due, ScheduleError, decide, rewound
from jobs.schedule_rules.plans import GRACE
from jobs.schedules.entries import TASK_NAME, schedule_sync
from jobs.selectors.clock import database_now
from jobs.selectors.schedules import plan_of, schedule_of, scheduled_jobs
from jobs.services.logs import job_log
from jobs.services.slots import slot_close, slot_skip

logger = structlog.get_logger(__name__)

#: The database's clock is set back by less without anybody's doing.
_CLOCK_TOLERANCE = timedelta(minutes=1)


def slots_answer(*, now: datetime | None = None) -> int:
    """Answer every planned time that is due; gives how many runs were made.

    ``now`` is the time of the database's clock unless given. Takes one query as long as nothing is
    due. A job that cannot be answered is reported and keeps nobody else waiting. Safe to call at
    any time and in many processes.
    """
    now = now or database_now()
    made = 0
    for job in scheduled_jobs():
        try:
            made += _is_due(job, now) and slot_answer(job_id=job.pk, now=now) is not None
        except ScheduleError as error:
            logger.warning("schedule.impossible", job=job.pk, error=error.message)
        except DatabaseError:
            raise
        except Exception:
            logger.exception("schedule.failed", job=job.pk)
    return made


@transaction.atomic
def slot_answer(*, job_id: int, now: datetime | None = None) -> JobRun | None:
    """Answer the planned time of a job that is due at ``now``, the newest for all before it.

    Gives the run that this made: one that starts, or one that records why it does not. None when
    nothing is due, or somebody else has answered. Raises ScheduleError for a row that no form would
    have let in.
    """
    now = now or database_now()
    job = scheduled_jobs().select_for_update(no_key=True).filter(pk=job_id).first()
    plan = None if job is None else plan_of(job)
    due = None if plan is None else decide(plan, now)
    if job is None or due is None:
        return None
    slot_close(job=job, slot_at=due.slot)
    if job.schedule_type == ScheduleType.ONETIME:
        schedule_sync(job=job)
    if due.action is Action.LEAVE_OUT:
        logger.info("schedule.left_out", job=job_id, slot=due.slot, reason="blackout")
        return None
    # A clock that was set back comes to the same time again.
    if JobRun.objects.filter(job=job, slot_at=due.slot).exists():
        return None
    if due.action is Action.SKIP:
        return slot_skip(job=job, slot_at=due.slot, reason=_missed(due))
    run = request_run(job=job, trigger=Trigger.SCHEDULE, slot_at=due.slot)
    if now - due.planned_start > GRACE:
        job_log(run=run, message=_late(due))
    return run


@shared_task(name=TASK_NAME, ignore_result=True)
def launch_scheduled(job_id: int) -> int | None:
    """What an entry rings for: answer what is due for a job. None when there is nothing to do."""
    try:
        run = slot_answer(job_id=job_id)
    except ScheduleError as error:
        logger.warning("schedule.impossible", job=job_id, error=error.message)
        return None
    return None if run is None else int(run.pk)


def _is_due(job: Job, now: datetime) -> bool:
    plan = plan_of(job)
    if plan is None:
        return False
    if plan.schedule.since > now + _CLOCK_TOLERANCE:
        _rewind(job, now)
        return False
    return decide(plan, now) is not None


def _rewind(job: Job, now: datetime) -> None:
    """Go on from ``now``: the clock was set back, and the job would wait until it is there again.

    What was answered stays so: a planned time has one run at the most.
    """
    since = job.scheduled_since
    assert since is not None
    back = rewound(schedule_of(job, since=since), now).since
    if Job.objects.filter(pk=job.pk, scheduled_since=since).update(scheduled_since=back):
        logger.warning("schedule.clock_went_back", job=job.pk, was_from=since, goes_from=back)


def _missed(due: Due) -> str:
    return (
        f"the planned time {_told(due.slot)} was missed: nothing could start it, and the job skips "
        "missed times"
    )


def _late(due: Due) -> str:
    why = "it lay in a blackout" if due.in_blackout else "nothing could start it in time"
    return f"this run answers the planned time {_told(due.slot)}; it starts late: {why}"


def _told(moment: datetime) -> str:
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M:%S %Z}"
