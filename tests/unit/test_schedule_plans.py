"""What becomes of planned times: jitter, blackouts, times that were missed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.choices import CatchUp, ScheduleType
from jobs.schedule_rules import (
    Action,
    Plan,
    Schedule,
    decide,
    describe,
    next_slots,
    next_starts,
    parse_blackouts,
)

SINCE = datetime(2026, 6, 1, tzinfo=UTC)  # a Monday
OFFICE = "mon-fri 08:00-18:00"
SECOND = timedelta(seconds=1)


def at(hour: int, minute: int = 0, second: int = 0, *, day: int = 1) -> datetime:
    return datetime(2026, 6, day, hour, minute, second, tzinfo=UTC)


def plan(cron: str = "", blackouts: str = "", **changed: Any) -> Plan:
    schedule = Schedule(kind=ScheduleType.CRON, since=changed.pop("since", SINCE), cron=cron)
    values: dict[str, Any] = {"schedule": schedule, "job_id": 7, **changed}
    return Plan(blackouts=parse_blackouts(blackouts, "UTC"), **values)


def action(asked: Plan, now: datetime) -> tuple[Action, datetime] | None:
    due = decide(asked, now)
    return None if due is None else (due.action, due.slot)


# --- on time and late ----------------------------------------------------------------------------


@pytest.mark.parametrize("catch_up", list(CatchUp))
def test_a_time_that_has_come_is_started(catch_up: CatchUp) -> None:
    nightly = plan("0 2 * * *", catch_up=catch_up)
    assert decide(nightly, at(1, 59, 59)) is None
    assert action(nightly, at(2)) == (Action.START, at(2))
    assert action(nightly, at(2, 9)) == (Action.START, at(2))


def test_after_down_time_the_newest_time_stands_for_all() -> None:
    often = plan("*/15 * * * *")
    assert action(often, at(9, 50)) == (Action.START, at(9, 45))


def test_who_skips_lets_pass_what_is_ten_minutes_old() -> None:
    nightly = plan("0 2 * * *", catch_up=CatchUp.SKIP)
    assert action(nightly, at(2, 10)) == (Action.START, at(2))
    assert action(nightly, at(2, 10, 1)) == (Action.SKIP, at(2))
    often = plan("*/5 * * * *", catch_up=CatchUp.SKIP)
    assert action(often, at(9, 52)) == (Action.START, at(9, 50))


# --- blackouts -----------------------------------------------------------------------------------


def test_a_time_in_a_blackout_starts_once_when_it_is_over() -> None:
    hourly = plan("0 * * * *", OFFICE, since=at(7))
    assert all(decide(hourly, at(hour, 30)) is None for hour in range(8, 18))
    due = decide(hourly, at(18))
    assert due is not None
    assert (due.action, due.slot, due.in_blackout) == (Action.START, at(18), False)
    early = plan("30 9 * * *", OFFICE)
    assert action(early, at(18)) == (Action.START, at(9, 30))
    due = decide(early, at(18))
    assert due is not None and due.in_blackout


def test_who_skips_leaves_out_what_lies_in_a_blackout() -> None:
    early = plan("30 9 * * *", OFFICE, catch_up=CatchUp.SKIP)
    assert action(early, at(9, 30)) == (Action.LEAVE_OUT, at(9, 30))
    assert action(early, at(18, 1)) == (Action.LEAVE_OUT, at(9, 30))


def test_a_late_start_does_not_fall_into_a_blackout() -> None:
    nearly = plan("58 7 * * *", OFFICE)
    assert decide(nearly, at(8, 1)) is None
    assert action(nearly, at(18)) == (Action.START, at(7, 58))
    skips = replace(nearly, catch_up=CatchUp.SKIP)
    assert decide(skips, at(8, 1)) is None
    assert action(skips, at(8, 9)) == (Action.SKIP, at(7, 58))


def test_the_next_starts_know_of_blackouts() -> None:
    hours = plan("30 7,9,17,18 * * *", OFFICE, since=at(7))
    assert next_starts(hours, at(7), 4) == [at(7, 30), at(18), at(18, 30), at(7, 30, day=2)]
    skips = replace(hours, catch_up=CatchUp.SKIP)
    assert next_starts(skips, at(7), 3) == [at(7, 30), at(18, 30), at(7, 30, day=2)]


def test_a_time_that_waits_for_the_end_of_a_blackout_is_among_the_next_starts() -> None:
    early = plan("30 9 * * *", OFFICE)
    assert next_starts(early, at(12), 2) == [at(18), at(18, day=2)]
    answered = plan("30 9 * * *", OFFICE, since=at(9, 30))
    assert next_starts(answered, at(12), 1) == [at(18, day=2)]


def test_a_schedule_that_never_starts_has_no_next_start() -> None:
    never = plan("30 9 * * mon", OFFICE, catch_up=CatchUp.SKIP)
    assert next_starts(never, at(0), 5) == []


def test_a_long_blackout_is_jumped_over() -> None:
    often = plan("* * * * *", "mon-sat 00:00-24:00", catch_up=CatchUp.SKIP)
    assert next_starts(often, at(0), 2) == [at(0, day=7), at(0, 1, day=7)]


# --- jitter --------------------------------------------------------------------------------------


def test_the_jitter_is_each_jobs_own_and_always_the_same() -> None:
    starts = {
        job_id: next_starts(plan("0 2 * * *", jitter_seconds=3600, job_id=job_id), SINCE, 1)[0]
        for job_id in range(50)
    }
    assert len(set(starts.values())) > 40
    assert all(at(2) <= start <= at(3) for start in starts.values())
    again = next_starts(plan("0 2 * * *", jitter_seconds=3600, job_id=3), at(1), 1)[0]
    assert again == starts[3]


def test_a_time_starts_when_its_jitter_is_over() -> None:
    nightly = plan("0 2 * * *", jitter_seconds=600)
    [start] = next_starts(nightly, SINCE, 1)
    assert at(2) < start <= at(2, 10)
    assert decide(nightly, start - SECOND) is None
    assert action(nightly, start) == (Action.START, at(2))
    assert next_starts(nightly, start - SECOND, 1) == [start]


def test_a_jitter_longer_than_the_time_between_starts_loses_none() -> None:
    often = plan("*/5 * * * *", jitter_seconds=3600)
    starts, slots = next_starts(often, SINCE, 50), next_slots(often.schedule, SINCE, 51)
    for slot, start, following in zip(slots, starts, slots[1:], strict=False):
        assert slot <= start < following
        assert action(often, start) == (Action.START, slot)


def test_the_end_of_a_blackout_has_a_jitter_as_well() -> None:
    plans = [plan("30 9 * * *", OFFICE, jitter_seconds=600, job_id=job) for job in range(20)]
    starts = [next_starts(each, SINCE, 1)[0] for each in plans]
    assert len(set(starts)) > 10
    for each, start in zip(plans, starts, strict=True):
        assert at(18) <= start <= at(18, 10)
        assert decide(each, start - SECOND) is None
        assert action(each, start) == (Action.START, at(9, 30))


# --- properties ----------------------------------------------------------------------------------

PLANS = st.builds(
    plan,
    st.sampled_from(["*/10 * * * *", "7 * * * *", "30 7,9,17 * * *", "0 2 * * *"]),
    st.sampled_from(["", OFFICE, "daily 22:00-04:00", "daily 01:00-03:00\ndaily 05:00-06:00"]),
    jitter_seconds=st.sampled_from([0, 30, 900, 3600]),
    catch_up=st.sampled_from(list(CatchUp)),
    job_id=st.integers(1, 1000),
)


def simulated(asked: Plan, times: list[datetime]) -> list[datetime]:
    """When a run starts if somebody looks at these times."""
    starts = list[datetime]()
    for now in times:
        due = decide(asked, now)
        if due is None:
            continue
        asked = replace(asked, schedule=replace(asked.schedule, since=due.slot))
        if due.action is Action.START:
            starts.append(now)
    return starts


@settings(deadline=None, max_examples=30)
@given(PLANS)
def test_what_is_announced_is_what_happens(asked: Plan) -> None:
    announced = next_starts(asked, SINCE, 8)
    looks = sorted({*announced, *(start - SECOND for start in announced)})
    assert simulated(asked, looks) == announced


@settings(deadline=None)
@given(PLANS, st.lists(st.integers(1, 20_000), max_size=40))
def test_nothing_starts_in_a_blackout_or_twice_for_one_time(asked: Plan, steps: list[int]) -> None:
    now, looks = SINCE, list[datetime]()
    for step in steps:
        now += step * SECOND
        looks.append(now)
    starts = simulated(asked, looks)
    assert all(asked.blackouts.end_of(start) is None for start in starts)
    planned = next_slots(asked.schedule, SINCE, len(starts))
    assert not planned or planned[-1] <= now


# --- in words ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"kind": ScheduleType.NONE}, "no schedule"),
        ({"kind": ScheduleType.INTERVAL, "interval_seconds": 60}, "every minute"),
        ({"kind": ScheduleType.INTERVAL, "interval_seconds": 900}, "every 15 minutes"),
        ({"kind": ScheduleType.INTERVAL, "interval_seconds": 90}, "every 90 seconds"),
        ({"kind": ScheduleType.INTERVAL, "interval_seconds": 172_800}, "every 2 days"),
        (
            {"kind": ScheduleType.CRON, "cron": "30 2 * * mon-fri", "time_zone": "Europe/Berlin"},
            "At 02:30 on Monday through Friday (Europe/Berlin)",
        ),
        (
            {"kind": ScheduleType.ONETIME, "run_at": SINCE, "time_zone": "Europe/Berlin"},
            "once at 2026-06-01 02:00:00 (Europe/Berlin)",
        ),
    ],
)
def test_schedules_in_words(fields: dict[str, Any], words: str) -> None:
    assert describe(Schedule(since=SINCE, **fields)) == words
