"""The tally of log-ins that keeps a test of many devices from locking out an account."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from jobs.policy.tally import LogInTally

LIMIT = 3
WRONG, RIGHT = 1, 2


def refuse(tally: LogInTally, *hostnames: str) -> None:
    for hostname in hostnames:
        assert tally.begin(WRONG) is None
        tally.end(WRONG, hostname, was_taken=False)


def test_a_credential_that_enough_devices_refuse_is_not_tried_again() -> None:
    tally = LogInTally(limit=LIMIT)
    refuse(tally, "r1", "r2", "r3")
    assert tally.begin(WRONG) == "3 devices in a row refused it: r1, r2, r3"
    assert tally.begin(RIGHT) is None


def test_one_device_that_takes_it_begins_the_row_anew() -> None:
    tally = LogInTally(limit=LIMIT)
    refuse(tally, "r1", "r2")
    assert tally.begin(WRONG) is None
    tally.end(WRONG, "r3", was_taken=True)
    refuse(tally, "r4", "r5")
    assert tally.begin(WRONG) is None


def test_what_brings_no_answer_counts_for_neither() -> None:
    tally = LogInTally(limit=LIMIT)
    refuse(tally, "r1", "r2")
    assert tally.begin(WRONG) is None
    tally.end(WRONG, "unreachable", was_taken=None)
    refuse(tally, "r3")
    assert tally.begin(WRONG) is not None


def test_without_a_limit_nothing_is_set_aside() -> None:
    tally = LogInTally(limit=0)
    refuse(tally, *(f"r{number}" for number in range(20)))


@pytest.mark.parametrize("answer", [False, None, True])
def test_threads_never_try_it_more_often_than_the_limit(answer: bool | None) -> None:
    """However they interleave; with every answer the tally comes to its end."""
    tally = LogInTally(limit=LIMIT)
    tried: list[str] = []
    most_at_once, at_once = 0, 0
    lock = threading.Lock()

    def session(hostname: str) -> None:
        nonlocal most_at_once, at_once
        if tally.begin(WRONG) is not None:
            return
        with lock:
            tried.append(hostname)
            at_once += 1
            most_at_once = max(most_at_once, at_once)
        os.sched_yield()
        with lock:
            at_once -= 1
        tally.end(WRONG, hostname, was_taken=answer)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(session, [f"r{number}" for number in range(40)]))
    assert len(tried) == (LIMIT if answer is False else 40)
    if answer is None:
        assert most_at_once <= LIMIT
