"""Redis and PostgreSQL die, lose their data, or have no space: the run ends as if nothing was."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import suppress

import psycopg
import pytest

from tests.faults.conftest import Disks
from tests.faults.lab import LEASE_SECONDS, LONG, Lab
from tests.support.recovery_table import Recovery
from tests.support.waiting import wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.fault,
    # The first of them starts the stack, maybe on a machine with other work.
    pytest.mark.timeout(600),
]

Record = Callable[[Recovery], None]


def assert_all_well(lab: Lab, run: int, since: object) -> float:
    """The seconds that a run took to end in which no device may have noticed anything."""
    outcome = lab.outcome(run, since)
    assert outcome.status == "COMPLETED_SUCCESS", outcome
    assert outcome.losses == 0, outcome
    assert outcome.attempts == len(lab.hostnames), outcome
    return outcome.seconds


def test_redis_dies_and_comes_back_with_its_data(lab: Lab, recovery: Record) -> None:
    lab.wait_workers()
    run = lab.start_run()
    lab.wait_full_swing(run)
    since = lab.now()
    lab.server("redis-server").kill()
    lab.wait_end(run)
    seconds = assert_all_well(lab, run, since)
    fault, by = "kill -9 of Redis", "its log, then messages are sent again"
    recovery(Recovery(fault, "the chord, some messages", by, seconds))


def test_redis_hangs_and_no_session_is_taken_for_dead(lab: Lab, recovery: Record) -> None:
    """Whoever waits for the broker must not keep leases from being renewed."""
    lab.wait_workers()
    few = lab.hostnames[:4]
    run = lab.start_run(fault=None, faults=dict.fromkeys(few, LONG))
    # Workers with idle threads look whether messages wait for them.
    lab.wait_for(run, SUCCEEDED=len(lab.hostnames) - len(few), RUNNING=len(few))
    redis = lab.server("redis-server")
    hung = lab.now()
    redis.suspend()
    try:
        twice = 2 * LEASE_SECONDS
        wait_for(lambda: (lab.now() - hung).total_seconds() > twice, "the end of leases", 60)
        [(under_way, renewed)] = lab.rows(
            "SELECT count(*), count(*) FILTER (WHERE lease_until > now()) FROM jobs_deviceresult"
            " WHERE run_id = %s AND status = 'RUNNING'",
            run,
        )
    finally:
        since = lab.now()
        redis.resume()
    assert renewed == under_way == len(few)
    lab.wait_end(run)
    seconds = assert_all_well(lab, run, since)
    recovery(Recovery("Redis hangs (from its return)", "nothing", "leases are renewed", seconds))


def test_redis_loses_all_its_data(lab: Lab, recovery: Record) -> None:
    lab.wait_workers()
    run = lab.start_run()
    lab.wait_full_swing(run)
    since = lab.now()
    lab.broker().flushall()
    lab.wait_end(run)
    seconds = assert_all_well(lab, run, since)
    recovery(Recovery("Redis is emptied", "all messages", "messages are sent again", seconds))


def test_a_run_that_is_asked_for_without_redis_starts_by_itself(lab: Lab, recovery: Record) -> None:
    lab.wait_workers()
    configuration = lab.up.data_dir / "conf" / "redis.conf"
    hidden = configuration.rename(configuration.with_suffix(".hidden"))
    lab.server("redis-server").kill()
    run = lab.start_run(fault=None)
    [(status,)] = lab.rows("SELECT status FROM jobs_jobrun WHERE id = %s", run)
    assert status == "PENDING"
    wait_for(lambda: "redis" in lab.up.output(), "Redis fails to start", 30)
    hidden.rename(configuration)
    since = lab.now()
    lab.wait_end(run)
    seconds = assert_all_well(lab, run, since)
    fault = "a run is asked for while Redis is down"
    recovery(
        Recovery(f"{fault} (from its return)", "nothing", "the run is asked for again", seconds)
    )


def test_postgresql_is_away_in_the_middle_of_a_run(lab: Lab, recovery: Record) -> None:
    """Stopped without any order; sessions that end meanwhile keep what they have read."""
    lab.wait_workers()
    run = lab.start_run()
    lab.wait_full_swing(run)
    since = lab.now()
    configuration = lab.up.data_dir / "postgres" / "postgresql.conf"
    hidden = configuration.rename(configuration.with_suffix(".hidden"))
    begun = lab.up.output().count("postgres ended")
    lab.server("postgres").send_signal(signal.SIGQUIT)
    wait_for(lambda: lab.up.output().count("postgres ended") > begun + 2, "failed starts", 60)
    assert lab.up.answers("/healthz")
    hidden.rename(configuration)
    lab.wait_end(run)
    # A session may count as lost where the lease is as short as here.
    outcome = lab.outcome(run, since)
    assert outcome.status == "COMPLETED_SUCCESS"
    seconds = outcome.seconds
    fault, by = "PostgreSQL stops in mid-sentence, for some seconds", "workers wait for it"
    recovery(Recovery(fault, "nothing", by, seconds))


def test_lost_chords_doubled_messages_and_many_reconcilers(lab: Lab, recovery: Record) -> None:
    """Each message six times, no chord that could complete, and reconcilers at the same time."""
    lab.wait_workers()
    broker = lab.broker()
    run = lab.start_run()
    lab.wait_full_swing(run)
    since = lab.now()
    waiting = broker.lrange("devices", 0, -1)
    assert waiting
    for _ in range(5):
        broker.rpush("devices", *waiting)
    chords = [*broker.scan_iter("celery-taskset-meta-*")]
    assert chords
    broker.delete(*chords)
    reconcilers = [lab.up.start_command("reconcile") for _ in range(3)]
    lab.wait_end(run)
    for reconciler in reconcilers:
        _, errors = reconciler.communicate(timeout=150)
        assert reconciler.returncode == 0, errors
    seconds = assert_all_well(lab, run, since)
    fault = "chords are lost, messages arrive six times, three reconcilers more"
    recovery(Recovery(fault, "the chords", "rows are counted, claims are unique", seconds))


def test_a_full_disk_of_the_git_store_delays_only_the_commits(
    lab: Lab, disks: Disks, recovery: Record
) -> None:
    lab.wait_workers()
    run = lab.start_run()
    lab.wait_full_swing(run)
    with disks.git.full():
        lab.wait_end(run)
        waiting = "SELECT count(*) FROM backups_snapshot WHERE commit = ''"
        assert lab.rows(waiting) != [(0,)]
    since = lab.now()
    wait_for(lambda: lab.rows(waiting) == [(0,)], "all snapshots in Git", 60)
    seconds = (lab.now() - since).total_seconds()
    outcome = lab.outcome(run)
    assert outcome.status == "COMPLETED_PARTIAL_FAILURE"
    failed = {(status, category) for status, _, _, category in outcome.devices.values()}
    assert failed == {("SUCCEEDED", ""), ("ERRORED", "store_failure")}
    lab.assert_in_git(lab.hostnames)
    fault = "the disk of the Git store is full (from its return)"
    recovery(Recovery(fault, "nothing", "the database keeps the texts", seconds))


def test_a_full_disk_of_the_database_delays_the_run(
    lab: Lab, disks: Disks, recovery: Record
) -> None:
    """The servers, their logs and those of all processes share the disk."""
    lab.wait_workers()
    run = lab.start_run()
    lab.wait_full_swing(run)
    with disks.data.full():
        wait_for(lambda: noticed(lab), "the database notices it", 60)
    since = lab.now()
    lab.wait_end(run)
    seconds = assert_all_well(lab, run, since)
    fault = "the disk of the database is full (from its return)"
    recovery(Recovery(fault, "nothing", "workers wait for space", seconds))


def noticed(lab: Lab) -> bool:
    """Whether a row of some size cannot be written, or nothing answers at all."""
    try:
        lab.execute(
            "CREATE TABLE fills_the_disk AS SELECT repeat('x', 1000) FROM generate_series(1, 100)"
        )
    except psycopg.OperationalError:
        return True
    with suppress(psycopg.OperationalError):
        lab.execute("DROP TABLE fills_the_disk")
    return False
