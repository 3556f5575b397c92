"""The planned times of schedules, across changes of the clocks as well."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.choices import ScheduleType
from jobs.schedule_rules import Schedule, ScheduleError, last_slot, next_slots, rewound

SINCE = datetime(2026, 1, 1, tzinfo=UTC)
BERLIN = "Europe/Berlin"
NEW_YORK = "America/New_York"
LORD_HOWE = "Australia/Lord_Howe"


def cron(expression: str, time_zone: str = "UTC", since: datetime = SINCE) -> Schedule:
    return Schedule(kind=ScheduleType.CRON, since=since, cron=expression, time_zone=time_zone)


def interval(seconds: int, since: datetime = SINCE) -> Schedule:
    return Schedule(kind=ScheduleType.INTERVAL, since=since, interval_seconds=seconds)


def once(run_at: datetime, since: datetime = SINCE) -> Schedule:
    return Schedule(kind=ScheduleType.ONETIME, since=since, run_at=run_at)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


def local_day(schedule: Schedule, year: int, month: int, day: int) -> list[str]:
    """The planned times of one day in the schedule's zone, as its clocks show them."""
    zone = ZoneInfo(schedule.time_zone)
    begin = datetime(year, month, day, tzinfo=zone).astimezone(UTC) - timedelta(microseconds=1)
    local = [slot.astimezone(zone) for slot in next_slots(schedule, begin, 40)]
    wanted = date(year, month, day)
    return [f"{slot:%H:%M%z}" for slot in local if slot.date() == wanted]


# --- each kind -----------------------------------------------------------------------------------


def test_intervals_count_from_the_begin_of_the_schedule() -> None:
    since = utc(2026, 5, 1, 10, 0, 13)
    every = interval(300, since)
    assert last_slot(every, since) is None
    assert last_slot(every, utc(2026, 5, 1, 10, 5, 12)) is None
    assert last_slot(every, utc(2026, 5, 1, 10, 5, 13)) == utc(2026, 5, 1, 10, 5, 13)
    assert last_slot(every, utc(2026, 5, 1, 11, 0)) == utc(2026, 5, 1, 10, 55, 13)
    assert next_slots(every, utc(2026, 5, 1, 11, 0), 2) == [
        utc(2026, 5, 1, 11, 0, 13),
        utc(2026, 5, 1, 11, 5, 13),
    ]


def test_intervals_go_on_as_before_from_a_time_that_was_answered() -> None:
    first = interval(420)
    answered = last_slot(first, utc(2026, 2, 3, 4, 5))
    assert answered is not None
    later = interval(420, since=answered)
    now = utc(2026, 2, 9)
    assert last_slot(later, now) == last_slot(first, now)
    assert next_slots(later, now, 5) == next_slots(first, now, 5)


def test_a_single_time_comes_once() -> None:
    at = utc(2026, 5, 1, 2)
    assert last_slot(once(at), at - timedelta(seconds=1)) is None
    assert last_slot(once(at), at) == last_slot(once(at), utc(2030, 1, 1)) == at
    assert last_slot(once(at, since=at), utc(2030, 1, 1)) is None
    assert next_slots(once(at), SINCE, 5) == [at]
    assert next_slots(once(at), at, 5) == []


def test_a_job_without_schedule_has_no_times() -> None:
    nothing = Schedule(kind=ScheduleType.NONE, since=SINCE)
    assert last_slot(nothing, utc(2030, 1, 1)) is None
    assert next_slots(nothing, SINCE, 5) == []


def test_nothing_is_planned_before_the_schedule_began() -> None:
    daily = cron("0 2 * * *", since=utc(2026, 5, 1, 2))
    assert last_slot(daily, utc(2026, 5, 2, 1, 59)) is None
    assert last_slot(daily, utc(2026, 5, 2, 2)) == utc(2026, 5, 2, 2)
    assert next_slots(daily, utc(2020, 1, 1), 1) == [utc(2026, 5, 2, 2)]


def test_day_of_month_or_weekday_as_in_debian() -> None:
    either = cron("0 2 1 * mon")
    assert next_slots(either, utc(2026, 5, 30), 3) == [
        utc(2026, 6, 1, 2),
        utc(2026, 6, 8, 2),
        utc(2026, 6, 15, 2),
    ]


def test_rare_times_are_found_as_well() -> None:
    leap = cron("0 2 29 2 *", since=utc(2021, 1, 1))
    assert last_slot(leap, utc(2027, 6, 1)) == utc(2024, 2, 29, 2)
    assert next_slots(leap, utc(2027, 6, 1), 2) == [utc(2028, 2, 29, 2), utc(2032, 2, 29, 2)]


@pytest.mark.parametrize(
    ("schedule", "field"),
    [
        (cron("61 * * * *"), "cron"),
        (cron("0 2 * * *", "Mars/Olympus"), "time_zone"),
        (cron("0 2 * * *", "../etc/passwd"), "time_zone"),
        (interval(0), "interval_seconds"),
    ],
)
def test_rows_that_no_form_let_in_are_named(schedule: Schedule, field: str) -> None:
    with pytest.raises(ScheduleError) as caught:
        last_slot(schedule, utc(2026, 5, 1))
    assert caught.value.field == field


# --- when the clocks change ----------------------------------------------------------------------

BERLIN_FORWARD, BERLIN_BACK = (2026, 3, 29), (2026, 10, 25)
NEW_YORK_FORWARD, NEW_YORK_BACK = (2026, 3, 8), (2026, 11, 1)
#: By 30 minutes, at 02:00.
LORD_HOWE_FORWARD, LORD_HOWE_BACK = (2026, 10, 4), (2026, 4, 5)


@pytest.mark.parametrize(
    ("expression", "zone", "day", "times"),
    [
        ("30 2 * * *", BERLIN, BERLIN_FORWARD, ["03:00+0200"]),
        ("30 2 * * *", BERLIN, BERLIN_BACK, ["02:30+0200"]),
        ("0 9 * * *", BERLIN, BERLIN_FORWARD, ["09:00+0200"]),
        ("0 9 * * *", BERLIN, BERLIN_BACK, ["09:00+0100"]),
        ("0 3 * * *", BERLIN, BERLIN_FORWARD, ["03:00+0200"]),
        ("0 2,3 * * *", BERLIN, BERLIN_FORWARD, ["03:00+0200"]),
        ("30 2 * * *", NEW_YORK, NEW_YORK_FORWARD, ["03:00-0400"]),
        ("30 1 * * *", NEW_YORK, NEW_YORK_BACK, ["01:30-0400"]),
        ("0 9 * * *", NEW_YORK, NEW_YORK_BACK, ["09:00-0500"]),
        ("15 2 * * *", LORD_HOWE, LORD_HOWE_FORWARD, ["02:30+1100"]),
        ("45 1 * * *", LORD_HOWE, LORD_HOWE_BACK, ["01:45+1100"]),
        ("0 9 * * *", LORD_HOWE, LORD_HOWE_BACK, ["09:00+1030"]),
        # Clocks go from 24:00 to 01:00, and from 24:00 back to 23:00.
        ("30 0 * * *", "Asia/Beirut", (2026, 3, 29), ["01:00+0300"]),
        ("30 23 * * *", "Asia/Beirut", (2026, 10, 24), ["23:30+0300"]),
        ("30 2 * * *", "Asia/Kolkata", BERLIN_FORWARD, ["02:30+0530"]),
        ("30 2 * * *", "UTC", BERLIN_BACK, ["02:30+0000"]),
    ],
)
def test_a_fixed_time_comes_once_whatever_the_clocks_do(
    expression: str, zone: str, day: tuple[int, int, int], times: list[str]
) -> None:
    assert local_day(cron(expression, zone), *day) == times


def test_every_hour_is_an_hour_after_the_last() -> None:
    hourly = cron("0 * * * *", BERLIN)
    forward, back = local_day(hourly, *BERLIN_FORWARD), local_day(hourly, *BERLIN_BACK)
    assert forward[:3] == ["00:00+0100", "01:00+0100", "03:00+0200"]
    assert back[:5] == ["00:00+0200", "01:00+0200", "02:00+0200", "02:00+0100", "03:00+0100"]
    assert (len(forward), len(back)) == (23, 25)


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK, LORD_HOWE, "Asia/Kolkata", "America/Phoenix"])
@pytest.mark.parametrize(
    "day", [BERLIN_FORWARD, BERLIN_BACK, NEW_YORK_FORWARD, NEW_YORK_BACK, LORD_HOWE_FORWARD]
)
@pytest.mark.parametrize("minutes", [1, 15])
def test_every_few_minutes_is_every_few_minutes(
    zone: str, day: tuple[int, int, int], minutes: int
) -> None:
    often = cron(f"*/{minutes} * * * *", zone)
    slots = next_slots(often, utc(*day) - timedelta(hours=12), 24 * 60 // minutes)
    gaps = {later - earlier for earlier, later in pairwise(slots)}
    assert gaps == {timedelta(minutes=minutes)}


def test_every_second_hour_on_lord_howe() -> None:
    even = local_day(cron("0 */2 * * *", LORD_HOWE), *LORD_HOWE_BACK)
    assert even[:3] == ["00:00+1100", "02:00+1030", "04:00+1030"]


@pytest.mark.parametrize("day", [BERLIN_FORWARD, BERLIN_BACK])
def test_one_run_in_the_night_for_whoever_looks_at_any_time(day: tuple[int, int, int]) -> None:
    nightly = cron("30 2 * * *", BERLIN, since=utc(*day) - timedelta(hours=12))
    begin, found = utc(*day) - timedelta(hours=2), set()
    for minute in range(8 * 60):
        found.add(last_slot(nightly, begin + timedelta(minutes=minute)))
    assert len(found - {None}) == 1


# --- properties ----------------------------------------------------------------------------------

EXPRESSIONS = st.sampled_from(
    [
        "* * * * *",
        "*/15 * * * *",
        "7 * * * *",
        "0 */2 * * *",
        "30 2 * * *",
        "0,30 1-3 * * *",
        "0 9 * * mon-fri",
        "59 23 31 * *",
        "0 0 1 1 *",
    ]
)
ZONES = st.sampled_from(["UTC", BERLIN, NEW_YORK, LORD_HOWE, "Asia/Beirut", "Asia/Kathmandu"])
#: Around the changes of all those zones, and any time else.
MOMENTS = st.one_of(
    st.floats(0, 1000).map(lambda days: SINCE + timedelta(days=days)),
    st.builds(
        lambda day, hours: day + timedelta(hours=hours),
        st.sampled_from(
            [
                utc(2026, 3, 8),
                utc(2026, 3, 29),
                utc(2026, 4, 4, 12),
                utc(2026, 10, 3, 12),
                utc(2026, 10, 25),
                utc(2026, 11, 1),
            ]
        ),
        st.floats(-8, 12),
    ),
)


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    since = draw(MOMENTS)
    kind = draw(st.sampled_from(["cron", "interval", "once"]))
    if kind == "cron":
        return cron(draw(EXPRESSIONS), draw(ZONES), since)
    if kind == "interval":
        return interval(draw(st.integers(60, 200_000)), since)
    return once(draw(MOMENTS), since)


@settings(deadline=None)
@given(schedules(), MOMENTS)
def test_the_last_slot_has_come_and_lies_after_the_begin(schedule: Schedule, now: datetime) -> None:
    slot = last_slot(schedule, now)
    assert slot is None or schedule.since < slot <= now


@settings(deadline=None)
@given(schedules(), MOMENTS, MOMENTS)
def test_time_that_passes_leads_to_no_earlier_slot(
    schedule: Schedule, one: datetime, other: datetime
) -> None:
    earlier = last_slot(schedule, min(one, other))
    later = last_slot(schedule, max(one, other))
    assert earlier is None or (later is not None and earlier <= later)


@settings(deadline=None)
@given(schedules(), MOMENTS)
def test_the_next_slots_become_the_last_ones(schedule: Schedule, now: datetime) -> None:
    upcoming = next_slots(schedule, now, 4)
    assert all(slot > now for slot in upcoming)
    assert upcoming == sorted(set(upcoming))
    before = last_slot(schedule, now)
    for slot in upcoming:
        assert last_slot(schedule, slot - timedelta(microseconds=1)) == before
        assert last_slot(schedule, slot) == slot
        before = slot


@settings(deadline=None)
@given(schedules(), MOMENTS)
def test_what_was_answered_does_not_change_what_comes(schedule: Schedule, now: datetime) -> None:
    slot = last_slot(schedule, now)
    if slot is None:
        return
    answered = Schedule(
        kind=schedule.kind,
        since=slot,
        interval_seconds=schedule.interval_seconds,
        cron=schedule.cron,
        run_at=schedule.run_at,
        time_zone=schedule.time_zone,
    )
    assert last_slot(answered, now) is None
    assert next_slots(answered, now, 3) == next_slots(schedule, now, 3)


@settings(deadline=None)
@given(schedules(), MOMENTS)
def test_a_clock_that_went_back_keeps_the_grid(schedule: Schedule, now: datetime) -> None:
    back = rewound(schedule, now)
    assert back.since <= max(now, schedule.since)
    assert (back == schedule) == (schedule.since <= now)
    assert back.since <= now
    assert last_slot(back, now) is None or back == schedule
    if schedule.kind is ScheduleType.INTERVAL:
        later = max(now, schedule.since)
        assert next_slots(schedule, later, 3) == next_slots(back, later, 3)


@settings(deadline=None)
@given(schedules(), st.lists(st.floats(-20_000, 90_000), max_size=25))
def test_however_the_clock_jumps_each_slot_is_answered_once_at_the_most(
    schedule: Schedule, jumps: list[float]
) -> None:
    now, answered = schedule.since, list[datetime]()
    current = schedule
    for jump in jumps:
        now += timedelta(seconds=jump)
        current = rewound(current, now)
        slot = last_slot(current, now)
        if slot is None:
            continue
        if slot not in answered:  # what UNIQUE(job, slot_at) does
            answered.append(slot)
        current = Schedule(
            kind=current.kind,
            since=slot,
            interval_seconds=current.interval_seconds,
            cron=current.cron,
            run_at=current.run_at,
            time_zone=current.time_zone,
        )
    if schedule.kind is ScheduleType.INTERVAL:
        step = schedule.interval_seconds or 1
        assert all((slot - schedule.since).total_seconds() % step == 0 for slot in answered)
    assert all(last_slot(schedule, slot) == slot for slot in answered if slot > schedule.since)
