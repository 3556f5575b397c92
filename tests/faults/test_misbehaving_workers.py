"""Workers that are asked to end, freeze, hang, stop listening, or read a device that kills them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import LiteralString

import psutil
import pytest

from tests.faults.lab import LEASE_SECONDS, SETTINGS, Lab, has_ended
from tests.support.git_repository import history
from tests.support.recovery_table import Recovery
from tests.support.waiting import wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.fault,
    # The first of them starts the stack, maybe on a machine with other work.
    pytest.mark.timeout(600),
]

Record = Callable[[Recovery], None]
_DRAIN_SECONDS = float(SETTINGS["NETRAVEN_DRAIN_SECONDS"])
#: Beyond the time to drain, a worker takes so long at the most to end.
_END_SECONDS = 9


def test_term_lets_sessions_end_and_repeats_none(lab: Lab, recovery: Record) -> None:
    lab.wait_workers()
    run = lab.start_run()
    lab.wait_full_swing(run)
    since = lab.now()
    pid = lab.kill("devices1", signal.SIGTERM)
    wait_for(lambda: has_ended(pid), "the end of the worker", _DRAIN_SECONDS + _END_SECONDS)

    lab.wait_end(run)
    outcome = lab.outcome(run, since)
    assert outcome.status == "COMPLETED_SUCCESS"
    assert (outcome.attempts, outcome.losses) == (len(lab.hostnames), 0)
    assert lab.said(run, "its worker was stopped") == 0
    recovery(Recovery("TERM of a worker", "nothing", "its sessions end first", outcome.seconds))


def test_a_worker_without_time_hands_back_its_devices(lab: Lab, recovery: Record) -> None:
    """One is asked once and waits as long as it may, one is asked twice and ends at once."""
    lab.wait_workers()
    run = lab.start_stuck_run(12)
    lab.set_fault(None)
    since = lab.now()
    patient, hurried = (lab.kill(name, signal.SIGTERM) for name in ("devices1", "devices2"))
    ask_until_ended(hurried)
    assert not has_ended(patient)
    wait_for(lambda: has_ended(patient), "the end of the worker", _DRAIN_SECONDS + _END_SECONDS)

    lab.wait_end(run)
    outcome = lab.outcome(run, since)
    assert outcome.status == "COMPLETED_SUCCESS"
    assert outcome.losses == 0
    assert lab.said(run, "its worker was stopped") == outcome.attempts - len(lab.hostnames) >= 6
    what = "sessions under way, after the time to drain"
    recovery(Recovery("TERM during long sessions", what, "handed back", outcome.seconds))


def test_devices_of_the_isolated_pool_survive_its_end(lab: Lab, recovery: Record) -> None:
    """A whole worker is killed, then the isolated one is stopped, then one of its children dies."""
    lab.wait_workers()
    run = lab.start_stuck_run(12)
    since = lab.now()
    lab.kill("devices1")
    wait_for(lambda: lost_again(lab, run, 1) >= 1, "a device in the isolated pool", 60)
    ask_until_ended(lab.workers()["isolated"].pid)
    assert lab.said(run, "its worker was stopped") >= 1

    wait_for(lambda: lost_again(lab, run, 1) >= 1, "a device in the isolated pool", 60)
    child = busy_child(lab)
    lab.set_fault(None)
    since_child = lab.now()
    os.kill(child, signal.SIGKILL)
    lab.kill("devices2", signal.SIGTERM)  # holds the other devices that are stuck
    lab.wait_end(run)
    outcome = lab.outcome(run, since)
    assert outcome.status == "COMPLETED_SUCCESS"
    losses = sorted(losses for _, _, losses, _ in outcome.devices.values())
    assert losses[-1] == 2 and losses.count(1) >= 1, outcome.devices
    lost = "the sessions under way"
    recovery(Recovery("kill -9 of a worker", lost, "leases, isolated pool", outcome.seconds))
    outcome = lab.outcome(run, since_child)
    recovery(Recovery("kill -9 of a child", "its session", "lease", outcome.seconds))


def ask_until_ended(pid: int) -> None:
    """Send TERM until the process has ended: two signals at once may arrive as one."""

    def ended() -> bool:
        if has_ended(pid):
            return True
        os.kill(pid, signal.SIGTERM)
        return False

    wait_for(ended, "the end of a worker that was asked twice", _END_SECONDS)


def lost_again(lab: Lab, run: int, losses: int) -> int:
    """How many devices that were lost so often are being read."""
    [(count,)] = lab.rows(
        "SELECT count(*) FROM jobs_deviceresult WHERE run_id = %s AND status = 'RUNNING'"
        " AND losses = %s",
        run,
        losses,
    )
    return int(count)


def busy_child(lab: Lab) -> int:
    """A child of the isolated pool that talks to a device."""
    found: list[int] = []

    def is_found() -> bool:
        # What is claimed is not connected yet, and children end and come.
        with suppress(psutil.Error, KeyError):
            children = lab.workers()["isolated"].children()
            found[:] = [child.pid for child in children if lab.reads_device(child)]
        return bool(found)

    wait_for(is_found, "a child of the isolated pool that talks to a device", 60)
    return found[0]


def test_a_frozen_worker_writes_nothing_when_it_comes_back(lab: Lab, recovery: Record) -> None:
    lab.wait_workers()
    run = lab.start_run()
    lab.wait_full_swing(run)
    since, begun = lab.now(), time.monotonic()
    frozen = lab.workers()["devices1"]
    freeze(lab, frozen)
    try:
        lab.wait_end(run)
        before, commits = lab.outcome(run, since), len(history(lab.git_directory))
        wait_for(lambda: time.monotonic() > begun + 3 * LEASE_SECONDS, "three leases", 60)
    finally:
        frozen.resume()
    wait_for(lambda: not lab.reads_device(frozen), "the end of the frozen sessions", 60)
    lab.wait_workers()
    assert before.status == "COMPLETED_SUCCESS"
    assert before.losses >= 1
    assert lab.outcome(run, since) == before
    assert len(history(lab.git_directory)) == commits
    what = "the sessions under way"
    recovery(Recovery("a worker freezes (SIGSTOP)", what, "leases, isolated pool", before.seconds))


def freeze(lab: Lab, process: psutil.Process) -> None:
    """Stop a worker that reads devices, at a moment at which nobody waits for a lock of its."""

    def frozen() -> bool:
        process.suspend()
        wait_for(lambda: process.status() == psutil.STATUS_STOPPED, "a stopped process", 10)
        since = lab.now()
        wait_for(lambda: lab.now() > since + timedelta(seconds=0.5), "half a second", 10)
        locks = holds_file_lock(process) or lab.rows(_OLD_TRANSACTIONS, since)
        if lab.reads_device(process) and not locks:
            return True
        process.resume()
        return False

    wait_for(frozen, "a moment in a session and without a lock", 30)


_OLD_TRANSACTIONS: LiteralString = (
    "SELECT pid FROM pg_stat_activity WHERE state = 'idle in transaction' AND state_change <= %s"
)


def holds_file_lock(process: psutil.Process) -> bool:
    """Whether the kernel knows a lock of the process, as that of the Git store."""
    locks = [line.split() for line in Path("/proc/locks").read_text("ascii").splitlines()]
    return str(process.pid) in (pid for lock in locks for pid in lock[4:5])


def test_a_device_that_kills_its_worker_ends_alone(
    lab: Lab, faults: Path, recovery: Record
) -> None:
    exits, eats, raises, *others = lab.hostnames
    poison = [faults / f"exit-{exits}", faults / f"eat-{eats}", faults / f"raise-{raises}"]
    lab.wait_workers()
    for file in poison:
        file.touch()
    since = lab.now()
    run = lab.start_run(fault=None)
    lab.wait_end(run)
    for file in poison:
        file.unlink()
    outcome = lab.outcome(run, since)
    assert outcome.status == "COMPLETED_PARTIAL_FAILURE"
    for hostname in (exits, eats):
        assert outcome.devices[hostname] == ("ERRORED", 3, 3, "worker_lost")
    status, attempts, losses, category = outcome.devices[raises]
    assert (status, attempts - losses, category) == ("ERRORED", 3, "unexpected")
    assert {outcome.status_of(hostname) for hostname in others} == {"SUCCEEDED"}
    fault = "devices that make their process exit or eat its memory"
    recovery(Recovery(fault, "their own results", "leases, isolated pool", outcome.seconds))


def test_threads_that_hang_cost_their_devices_and_the_process(
    lab: Lab, faults: Path, recovery: Record
) -> None:
    """Nothing wakes these threads: the sessions are not even connected."""
    hung, others = lab.hostnames[:4], lab.hostnames[4:]
    lab.wait_workers()
    workers = {lab.workers()[name].pid for name in ("devices1", "devices2")}
    lab.execute("UPDATE inventory_device SET deadline_seconds = 2 WHERE hostname = ANY(%s)", hung)
    for hostname in hung:
        (faults / f"hang-{hostname}").touch()
    since = lab.now()
    run = lab.start_run()
    lab.wait_end(run)
    outcome = lab.outcome(run, since)
    assert outcome.status == "COMPLETED_PARTIAL_FAILURE"
    for hostname in hung:
        assert outcome.devices[hostname] == ("FAILED", 1, 0, "deadline")
    assert {outcome.status_of(hostname) for hostname in others} == {"SUCCEEDED"}
    wait_for(lambda: any(map(has_ended, workers)), "the end of a worker that hangs", 30)
    for hostname in hung:
        (faults / f"hang-{hostname}").unlink()
    lab.execute("UPDATE inventory_device SET deadline_seconds = NULL")
    fault = "threads that hang for ever"
    recovery(Recovery(fault, "their own results", "watchdog", outcome.seconds))


def test_a_worker_that_stops_listening_is_replaced(
    lab: Lab, faults: Path, recovery: Record
) -> None:
    lab.wait_workers()
    deaf = {lab.workers()[name].pid for name in ("devices1", "devices2")}
    for pid in deaf:
        (faults / f"deaf-{pid}").touch()
    wait_for(lambda: all((faults / f"is-deaf-{pid}").exists() for pid in deaf), "deafness", 30)
    since = lab.now()
    run = lab.start_run(fault=None)
    lab.wait_end(run)
    outcome = lab.outcome(run, since)
    assert outcome.status == "COMPLETED_SUCCESS"
    assert (outcome.attempts, outcome.losses) == (len(lab.hostnames), 0)
    assert all(map(has_ended, deaf))
    fault = "workers live and take no messages"
    recovery(Recovery(fault, "nothing", "each worker watches its queues", outcome.seconds))
