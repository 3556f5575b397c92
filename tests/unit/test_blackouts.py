"""Blackouts: what their lines mean, and when they begin and end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.schedule_rules import ScheduleError, parse_blackouts

BERLIN = "Europe/Berlin"


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def end(text: str, moment: str, time_zone: str = "UTC") -> datetime | None:
    return parse_blackouts(text, time_zone).end_of(utc(moment))


# 2026-06-01 is a Monday.
@pytest.mark.parametrize(
    ("text", "moment", "until"),
    [
        ("mon-fri 08:00-18:00", "2026-06-01T07:59:59Z", None),
        ("mon-fri 08:00-18:00", "2026-06-01T08:00Z", "2026-06-01T18:00Z"),
        ("mon-fri 08:00-18:00", "2026-06-01T17:59:59Z", "2026-06-01T18:00Z"),
        ("mon-fri 08:00-18:00", "2026-06-01T18:00Z", None),
        ("mon-fri 08:00-18:00", "2026-06-06T12:00Z", None),
        ("MON-FRI  08:00 - 18:00", "2026-06-05T12:00Z", "2026-06-05T18:00Z"),
        ("sat,sun 00:00-24:00", "2026-06-06T12:00Z", "2026-06-08T00:00Z"),
        ("fri-mon 10:00-11:00", "2026-06-07T10:30Z", "2026-06-07T11:00Z"),
        ("fri-mon 10:00-11:00", "2026-06-03T10:30Z", None),
        ("daily 22:00-04:00", "2026-06-03T23:00Z", "2026-06-04T04:00Z"),
        ("daily 22:00-04:00", "2026-06-04T03:59Z", "2026-06-04T04:00Z"),
        ("22:00-04:00", "2026-06-04T03:59Z", "2026-06-04T04:00Z"),
        # Over midnight, the day is the one on which it begins.
        ("fri 22:00-04:00", "2026-06-06T03:00Z", "2026-06-06T04:00Z"),
        ("fri 22:00-04:00", "2026-06-05T03:00Z", None),
        # Windows that touch make one blackout.
        (
            "mon 08:00-12:00\n\nmon 12:00-14:00\nmon 13:00-15:00",
            "2026-06-01T09:00Z",
            "2026-06-01T15:00Z",
        ),
        ("mon-sat 00:00-24:00", "2026-06-01T09:00Z", "2026-06-07T00:00Z"),
        ("", "2026-06-01T09:00Z", None),
        (" \n", "2026-06-01T09:00Z", None),
    ],
)
def test_windows(text: str, moment: str, until: str | None) -> None:
    assert end(text, moment) == (None if until is None else utc(until))


@pytest.mark.parametrize(
    ("text", "moment", "until"),
    [
        ("daily 08:00-18:00", "2026-06-01T06:00Z", "2026-06-01T16:00Z"),
        ("daily 08:00-18:00", "2026-01-01T07:00Z", "2026-01-01T17:00Z"),
        # The night without 02:00 to 03:00.
        ("daily 22:00-04:00", "2026-03-29T00:30Z", "2026-03-29T02:00Z"),
        ("daily 02:30-05:00", "2026-03-29T00:59Z", None),
        ("daily 02:30-05:00", "2026-03-29T01:00Z", "2026-03-29T03:00Z"),
        ("daily 00:00-02:30", "2026-03-29T00:30Z", "2026-03-29T01:00Z"),
        ("daily 02:10-02:50", "2026-03-29T01:00Z", None),
        # The night with two times 02:00 to 03:00.
        ("daily 22:00-02:30", "2026-10-25T00:00Z", "2026-10-25T01:30Z"),
        ("daily 02:30-05:00", "2026-10-25T00:30Z", "2026-10-25T04:00Z"),
    ],
)
def test_windows_are_those_of_the_clocks_on_the_wall(text: str, moment: str, until: str) -> None:
    assert end(text, moment, BERLIN) == (None if until is None else utc(until))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mon-fri", "line 1 'mon-fri' is no window: write it like mon-fri 08:00-18:00"),
        ("mon 8-18", "line 1 'mon 8-18' is no window"),
        ("mon 8:00-18:00", "is no window"),
        ("mon 08:00-18:60", "is no window"),
        ("mon 24:00-25:00", "has a time that no day has"),
        ("mon 08:00-24:01", "has a time that no day has"),
        ("mon 08:00-08:00", "is empty"),
        ("monday 08:00-09:00", "has 'monday' for days: use mon, tue"),
        ("mon- 08:00-09:00", "has 'mon-' for days"),
        (",mon 08:00-09:00", "has '' for days"),
        ("mon,daily 08:00-09:00", "has 'daily' for days"),
        ("daily 00:00-24:00", "leave no time of the week"),
        ("daily 08:00-20:00\ndaily 20:00-08:00", "leave no time of the week"),
        ("mon 08:00-09:00\n" * 63, "longer than 1000 characters"),
    ],
)
def test_no_windows(text: str, words: str) -> None:
    with pytest.raises(ScheduleError) as caught:
        parse_blackouts(text, "UTC")
    assert caught.value.field == "blackouts"
    assert words in caught.value.message
    assert "\n" not in caught.value.message


def test_each_bad_line_is_named() -> None:
    with pytest.raises(ScheduleError) as caught:
        parse_blackouts("lunch\nmon 08:00-09:00\nsometimes 08:00-09:00", "UTC")
    assert "line 1 'lunch'" in caught.value.message
    assert "line 3 'sometimes 08:00-09:00'" in caught.value.message
    assert "line 2" not in caught.value.message


@settings(deadline=None)
@given(st.text(max_size=80))
def test_any_text_is_blackouts_or_an_error(text: str) -> None:
    try:
        blackouts = parse_blackouts(text, BERLIN)
    except ScheduleError as error:
        assert error.message
        return
    assert bool(blackouts.windows) == bool(text.strip())


@settings(deadline=None)
@given(st.floats(0, 800), st.sampled_from([BERLIN, "Australia/Lord_Howe", "America/New_York"]))
def test_a_blackout_ends_where_it_says(days: float, time_zone: str) -> None:
    blackouts = parse_blackouts("mon-fri 22:00-02:30\nsat 01:45-02:15", time_zone)
    moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=days)
    until = blackouts.end_of(moment)
    if until is not None:
        assert until > moment
        assert blackouts.end_of(until - timedelta(seconds=1)) == until
        assert blackouts.end_of(until) is None
