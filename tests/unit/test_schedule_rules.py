"""What is a schedule and what is none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.choices import CatchUp, ScheduleType
from jobs.schedule_rules import ScheduleError, check_schedule, check_time_zone, parse_cron

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
OFFICE_HOURS = "daily 08:00-18:00"
OFFICE_HOURS_LEFT_OUT = {"blackouts": OFFICE_HOURS, "catch_up": CatchUp.SKIP}


def check(kind: ScheduleType, **changed: Any) -> None:
    values: dict[str, Any] = {
        "interval_seconds": None,
        "cron": "",
        "run_at": None,
        "time_zone": "UTC",
        "now": NOW,
    }
    check_schedule(schedule_type=kind, **(values | changed))


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        (ScheduleType.NONE, {}),
        (ScheduleType.NONE, {"cron": "rubbish", "interval_seconds": 1}),
        (ScheduleType.INTERVAL, {"interval_seconds": 60}),
        (ScheduleType.CRON, {"cron": "*/5 0-6 1,15 jan-mar mon"}),
        (ScheduleType.CRON, {"cron": "0 2 29 2 *", "time_zone": "Europe/Berlin"}),
        (ScheduleType.ONETIME, {"run_at": NOW + timedelta(seconds=1)}),
        (ScheduleType.CRON, {"cron": "30 9 * * *", "blackouts": OFFICE_HOURS}),
        (ScheduleType.CRON, {"cron": "30 7 * * *", **OFFICE_HOURS_LEFT_OUT}),
    ],
)
def test_schedules(kind: ScheduleType, changed: dict[str, Any]) -> None:
    check(kind, **changed)


@pytest.mark.parametrize(
    ("kind", "changed", "field"),
    [
        (ScheduleType.INTERVAL, {}, "interval_seconds"),
        (ScheduleType.INTERVAL, {"interval_seconds": 59}, "interval_seconds"),
        (ScheduleType.INTERVAL, {"interval_seconds": -60}, "interval_seconds"),
        (ScheduleType.CRON, {}, "cron"),
        (ScheduleType.ONETIME, {}, "run_at"),
        (ScheduleType.ONETIME, {"run_at": NOW}, "run_at"),
        (ScheduleType.ONETIME, {"run_at": datetime.max.replace(tzinfo=UTC)}, "run_at"),
        (ScheduleType.NONE, {"time_zone": "Mars/Olympus"}, "time_zone"),
        (ScheduleType.NONE, {"blackouts": "lunch"}, "blackouts"),
        (ScheduleType.CRON, {"cron": "30 9 * * *", **OFFICE_HOURS_LEFT_OUT}, "blackouts"),
        (
            ScheduleType.ONETIME,
            {"run_at": NOW + timedelta(hours=1), **OFFICE_HOURS_LEFT_OUT},
            "blackouts",
        ),
    ],
)
def test_no_schedules(kind: ScheduleType, changed: dict[str, Any], field: str) -> None:
    with pytest.raises(ScheduleError) as caught:
        check(kind, **changed)
    assert caught.value.field == field


@pytest.mark.parametrize(
    "cron",
    [
        "",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 8",
        "*/0 * * * *",
        "1- * * * *",
        "a b c d e",
        "0 2 31 2 *",
        "0 22-4 * * *",
        "0 2 * * fri-mon",
        "0 2 * * monday",
        "0 2 * * 7",
        "0 2 30 feb *",
        "0 0 1 1 " + ",".join(["1"] * 40),
        "; rm * * * *",
    ],
)
def test_no_cron_expressions(cron: str) -> None:
    with pytest.raises(ScheduleError) as caught:
        parse_cron(cron)
    assert caught.value.field == "cron"
    assert "\n" not in str(caught.value)


@given(st.text(max_size=60))
def test_any_text_is_a_cron_expression_or_an_error(text: str) -> None:
    try:
        fields = parse_cron(text)
    except ScheduleError as error:
        assert error.message
        return
    assert " ".join(fields.values()).split() == text.split()


@pytest.mark.parametrize(
    "name", ["", "../../etc/passwd", "/etc/localtime", "Europe", "europe/berlin", "a\0b", "x" * 999]
)
def test_no_time_zones(name: str) -> None:
    with pytest.raises(ScheduleError, match="is no time zone"):
        check_time_zone(name)
