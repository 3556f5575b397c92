"""What a job does at its planned times: start, wait, or let one pass."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from jobs.choices import CatchUp
from jobs.schedule_rules.blackouts import Blackouts
from jobs.schedule_rules.slots import Schedule, last_slot, next_slot

#: A start that is later than this was missed; less is what a busy machine takes.
GRACE = timedelta(minutes=10)
_SECOND = timedelta(seconds=1)
#: A schedule that finds no time outside its blackouts in so many of them finds none.
_MOST_BLACKOUTS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A schedule with what bends it."""

    schedule: Schedule
    #: Gives each job its own jitter.
    job_id: int
    blackouts: Blackouts
    jitter_seconds: int = 0
    catch_up: CatchUp = CatchUp.RUN_ONCE


class Action(StrEnum):
    """What to do about a planned time that is due."""

    START = "start"
    #: Let it pass: it lay in a blackout.
    LEAVE_OUT = "leave_out"
    #: Let it pass: it was missed.
    SKIP = "skip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A planned time that is to be answered, and how. It stands for all earlier ones as well."""

    slot: datetime
    action: Action
    #: When it was to start: the planned time and its jitter.
    planned_start: datetime
    #: Whether a blackout kept it from starting then.
    in_blackout: bool


def decide(plan: Plan, now: datetime) -> Due | None:
    """What is to be done at ``now``; None when nothing is due, or it has to wait for a blackout."""
    slot = _started_slot(plan, now)
    if slot is None:
        return None
    start = slot + _jitter(plan, slot)
    in_blackout = _blackout_end(plan, start) is not None
    action = _action(plan, now, start, in_blackout)
    if action is None:
        return None
    return Due(slot=slot, action=action, planned_start=start, in_blackout=in_blackout)


def next_starts(plan: Plan, now: datetime, number: int) -> list[datetime]:
    """The next times after ``now`` at which a run starts, at most ``number``, in UTC."""
    starts = list[datetime]()
    slot = last_slot(plan.schedule, now) or next_slot(plan.schedule, now)
    blackouts = 0
    while slot is not None and len(starts) < number and blackouts < _MOST_BLACKOUTS:
        planned = slot + _jitter(plan, slot)
        start = _outside_blackouts(plan, planned)
        after = slot
        if start != planned:
            blackouts += 1
            # What is planned until then lies in the same blackout.
            after = max(slot, start - (plan.jitter_seconds + 1) * _SECOND)
        wanted = start == planned or plan.catch_up is CatchUp.RUN_ONCE
        if wanted and start > max([now, *starts[-1:]]):
            starts.append(start)
        slot = next_slot(plan.schedule, after)
    return starts


def _started_slot(plan: Plan, now: datetime) -> datetime | None:
    """The newest planned time whose jitter is over. It is the newest of all or the one before."""
    slot = last_slot(plan.schedule, now)
    if slot is not None and slot + _jitter(plan, slot) > now:
        return last_slot(plan.schedule, slot - timedelta(microseconds=1))
    return slot


def _action(plan: Plan, now: datetime, start: datetime, in_blackout: bool) -> Action | None:
    waits = _blackout_end(plan, now) is not None
    if plan.catch_up is CatchUp.RUN_ONCE:
        return None if waits else Action.START
    if in_blackout:
        return Action.LEAVE_OUT
    if now - start > GRACE:
        return Action.SKIP
    return None if waits else Action.START


def _jitter(plan: Plan, slot: datetime) -> timedelta:
    """By how much the start of ``slot`` is put off; never as far as the next planned time.

    The same in every process and at every time: it comes from the job's id and the planned time.
    """
    if not plan.jitter_seconds:
        return timedelta()
    following = next_slot(plan.schedule, slot)
    most = plan.jitter_seconds
    if following is not None:
        most = min(most, (following - slot) // _SECOND - 1)
    return _spread(plan, slot, most)


def _spread(plan: Plan, moment: datetime, most: int) -> timedelta:
    seed = f"{plan.job_id} {int(moment.timestamp())}".encode()
    number = int.from_bytes(hashlib.sha256(seed).digest()[:8], "big")
    return timedelta(seconds=number % (most + 1))


def _blackout_end(plan: Plan, moment: datetime) -> datetime | None:
    """Until when nothing starts, as seen from ``moment``; None when something may.

    Each job's blackouts end with a jitter of their own, or else all jobs start at their end.
    """
    for start, end in plan.blackouts.around(moment):
        until = end + _spread(plan, end, plan.jitter_seconds)
        if start <= moment < until:
            return until
    return None


def _outside_blackouts(plan: Plan, moment: datetime) -> datetime:
    """``moment``, or the end of the blackouts in which it lies."""
    while (end := _blackout_end(plan, moment)) is not None:
        moment = end
    return moment
