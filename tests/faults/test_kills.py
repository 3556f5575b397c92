"""Processes are killed in mid-run, run twice, or live by a clock that is wrong."""

from __future__ import annotations

import http
import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from netraven_site.demo.simulator import Fault, FaultKind
from tests.faults.lab import Lab
from tests.support.recovery_table import Recovery
from tests.support.waiting import wait_for
from tests.support.worker_watch import connections_to

pytestmark = [
    pytest.mark.slow,
    pytest.mark.fault,
    # The first of them starts the stack, maybe on a machine with other work.
    pytest.mark.timeout(600),
]

Record = Callable[[Recovery], None]
_KILLS, _SEED = 10, 20_261
_SOME_SECONDS = Fault(FaultKind.SLOW, 1200)


def test_a_run_needs_neither_beat_nor_web_nor_the_worker_that_sent_it(
    lab: Lab, recovery: Record
) -> None:
    lab.wait_workers()
    run = lab.start_run()
    lab.wait_full_swing(run)
    since = lab.now()
    killed = {name: lab.kill(name) for name in ("control", "beat", "web")}
    lab.wait_end(run)
    outcome = lab.outcome(run, since)
    assert outcome.status == "COMPLETED_SUCCESS"
    assert (outcome.attempts, outcome.losses) == (len(lab.hostnames), 0)
    lab.wait_workers()
    wait_for(lambda: lab.up.answers("/healthz"), "the web answers again", 60)
    wait_for(lambda: lab.up.child("beat") not in (None, killed["beat"]), "another beat", 60)
    fault = "kill -9 of web, beat and the control worker"
    recovery(Recovery(fault, "messages to the control worker", "reconciler", outcome.seconds))


def test_many_kills_leave_every_device_with_a_result(lab: Lab, recovery: Record) -> None:
    """Workers, their children and Redis in an order that a seed decides."""
    draw = random.Random(_SEED)  # noqa: S311 - no secret
    lab.wait_workers()
    run = lab.start_run(fault=_SOME_SECONDS)
    lab.wait_for(run, RUNNING=2)
    since = lab.now()
    for number in range(_KILLS):
        if number == _KILLS // 2:
            lab.set_fault(None)
        kill_one(lab, draw)
        time.sleep(draw.uniform(0.5, 2))  # the next kill comes at any moment
    lab.wait_end(run)
    outcome = lab.outcome(run, since)
    given_up = {name for name, (status, *_) in outcome.devices.items() if status != "SUCCEEDED"}
    for hostname in given_up:
        assert outcome.devices[hostname] == ("ERRORED", 3, 3, "worker_lost")
    assert outcome.losses >= 1
    fault = f"{_KILLS} times kill -9 of workers, children and Redis (from the first)"
    recovery(Recovery(fault, "the sessions under way", "all of the above", outcome.seconds))


def kill_one(lab: Lab, draw: random.Random) -> None:
    """A process that lives at this moment."""
    alive = list(lab.workers().values())
    with suppress(AssertionError):
        alive.append(lab.server("redis-server"))
    with suppress(KeyError, psutil.NoSuchProcess):
        alive += lab.workers()["isolated"].children()
    with suppress(ProcessLookupError):
        os.kill(draw.choice(sorted(alive, key=lambda one: one.pid)).pid, signal.SIGKILL)


def test_devices_that_wait_for_room_survive_the_death_of_those_who_have_it(
    lab: Lab, recovery: Record
) -> None:
    """Two sessions at once; whoever has them dies, and with it the one who would make room."""
    lab.wait_workers()
    lab.execute("UPDATE credentials_tag SET max_sessions = 2 WHERE name = 'lab'")
    try:
        run = lab.start_run()
        parked = (
            "SELECT count(*) FROM jobs_deviceresult WHERE run_id = %s AND parked_at IS NOT NULL"
        )
        wait_for(lambda: lab.rows(parked, run)[0][0] >= 2, "devices that wait", 60)
        lab.wait_for(run, RUNNING=2)
        since = lab.now()
        for name in ("devices1", "devices2"):
            lab.kill(name)
        lab.wait_end(run)
    finally:
        lab.execute("UPDATE credentials_tag SET max_sessions = NULL")
    outcome = lab.outcome(run, since)
    assert outcome.status == "COMPLETED_SUCCESS"
    assert outcome.losses >= 1
    fault = "both workers are killed while devices wait for room"
    recovery(Recovery(fault, "the sessions under way", "leases free their room", outcome.seconds))


def test_two_schedulers_start_a_run_once(lab: Lab) -> None:
    lab.wait_workers()
    lab.set_fault(None)
    second = lab.up.start_process("-m", "celery", "-q", "-A", "netraven_site", "beat", "--pidfile=")
    try:
        slot = lab.now() + timedelta(seconds=12)
        job = {"name": "once", "tags": ["lab"], "schedule_type": "onetime"}
        status, answer = lab.post("/api/v1/jobs/", {**job, "run_at": slot.isoformat()})
        assert status == 201, answer
        runs = "SELECT id FROM jobs_jobrun WHERE job_id = %s"
        wait_for(lambda: bool(lab.rows(runs, answer["id"])), "a run", 60)
        [(run,)] = lab.rows(runs, answer["id"])
        lab.wait_end(run)
        # Both have looked by then: they do so every few seconds.
        wait_for(lambda: lab.now() > slot + timedelta(seconds=10), "both schedulers", 30)
        assert second.poll() is None
        assert lab.rows(runs, answer["id"]) == [(run,)]
        assert lab.outcome(run).status == "COMPLETED_SUCCESS"
    finally:
        second.kill()
        second.communicate(timeout=30)


@pytest.mark.parametrize("hours", [3, -3])
def test_a_clock_that_jumps_loses_nothing_and_hides_no_death(
    lab: Lab, faults: Path, recovery: Record, hours: int
) -> None:
    """All workers are hours wrong from the middle of a run on, and one of them dies."""
    lab.wait_workers()
    run = lab.start_run(fault=_SOME_SECONDS)
    wait_for(lambda: lab.reads_device(lab.workers()["devices1"]), "a session to be killed", 60)
    (faults / "clock").write_text(str(hours * 3600))
    try:
        lab.set_fault(None)
        since = lab.now()
        lab.kill("devices1")
        lab.wait_end(run)
        outcome = lab.outcome(run, since)
    finally:
        (faults / "clock").unlink()
    assert outcome.status == "COMPLETED_SUCCESS"
    assert 1 <= outcome.losses <= 6
    fault = f"clocks of all workers jump by {hours:+d} hours, one is killed"
    recovery(Recovery(fault, "the sessions of one worker", "leases", outcome.seconds))


def test_a_cancelled_run_ends_its_sessions_and_keeps_what_is_done(
    lab: Lab, recovery: Record
) -> None:
    lab.wait_workers()
    run = lab.start_run(fault=_SOME_SECONDS)
    lab.wait_for(run, RUNNING=4)
    since = lab.now()
    status, answer = lab.post(f"/api/v1/runs/{run}/cancel/")
    assert status == http.HTTPStatus.OK, answer
    ports = {lab.fleet.address(name)[1] for name in lab.hostnames}
    wait_for(lambda: not connections_to(lab.up, ports), "the end of all sessions", 20)
    seconds = (lab.now() - since).total_seconds()
    lab.wait_end(run)
    [(status_of_run,)] = lab.rows("SELECT status FROM jobs_jobrun WHERE id = %s", run)
    counts = lab.statuses(run)
    assert status_of_run == "CANCELLED"
    assert set(counts) <= {"SUCCEEDED", "CANCELLED"}, counts
    assert counts["CANCELLED"] >= 4, counts
    fault = "a run is cancelled (to the end of its last session)"
    recovery(Recovery(fault, "what it had not read", "nothing: so it was asked", seconds))
