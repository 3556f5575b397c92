"""When a run will be done, from what its devices took before."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.policy.forecast import Cap, OpenWork, remaining, seconds_left

SECONDS = st.floats(0, 1000)


def test_nothing_to_do_takes_no_time() -> None:
    assert seconds_left(OpenWork(starts_per_second=0.1)) == 0


@pytest.mark.parametrize(
    ("work", "seconds"),
    [
        (OpenWork(waiting=[2.0] * 100, at_once=50), 4),
        (OpenWork(waiting=[2.0] * 100, running=[1.0] * 50, at_once=50), 5),
        (OpenWork(waiting=[2.0] * 3 + [60.0], at_once=50), 60),
        (OpenWork(waiting=[2.0] * 100, at_once=50, caps=[Cap(seconds=200, sessions=5)]), 40),
        (OpenWork(waiting=[2.0] * 100, at_once=50, starts_per_second=5), 22),
    ],
)
def test_the_slowest_part_decides(work: OpenWork, seconds: float) -> None:
    assert seconds_left(work) == pytest.approx(seconds)


@given(st.lists(SECONDS, max_size=20), st.lists(SECONDS, max_size=20), st.floats(1, 100))
def test_more_sessions_at_once_never_take_longer(
    running: list[float], waiting: list[float], at_once: float
) -> None:
    few = seconds_left(OpenWork(running=running, waiting=waiting, at_once=at_once))
    many = seconds_left(OpenWork(running=running, waiting=waiting, at_once=2 * at_once))
    assert max([*running, *waiting], default=0) <= many <= few


def test_a_session_that_is_late_is_still_expected_to_take_a_while() -> None:
    assert remaining(expected=10, elapsed=4) == 6
    assert remaining(expected=10, elapsed=400) == 1
