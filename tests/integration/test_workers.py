"""The rows of worker processes: written by their heartbeats, gone with them, shown as dead."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.db.models.functions import Now

from jobs.models import WorkerProcess
from jobs.presence import Presence
from jobs.selectors.queues import queues_served
from jobs.selectors.workers import workers_alive, workers_known
from jobs.services.workers import WorkerIdentity, worker_gone, worker_seen, workers_prune
from jobs.tasks import prune
from tests.support.waiting import wait_for

_PROJECT = Path(__file__).parents[2]


def identity(node: str = "devices1@here", pid: int = 7, *queues: str) -> WorkerIdentity:
    return WorkerIdentity(
        node=node, host="here", pid=pid, queues=queues or ("devices",), concurrency=50
    )


def last_seen(node: str, **ago: float) -> None:
    WorkerProcess.objects.filter(node=node).update(seen_at=Now() - timedelta(**ago))


@pytest.mark.django_db
def test_a_sign_of_life_renews_the_row_and_a_restart_begins_anew() -> None:
    worker_seen(worker=identity(), busy=3)
    WorkerProcess.objects.update(started_at=Now() - timedelta(hours=1))
    first = WorkerProcess.objects.get()
    worker_seen(worker=identity(), busy=4)
    again = WorkerProcess.objects.get()
    assert (again.pk, again.busy, again.started_at) == (first.pk, 4, first.started_at)
    assert again.seen_at >= first.seen_at
    worker_seen(worker=identity(pid=8), busy=0)
    restarted = WorkerProcess.objects.get()
    assert (restarted.pid, restarted.busy) == (8, 0)
    assert restarted.started_at > first.started_at


@pytest.mark.django_db
def test_a_worker_that_leaves_takes_its_own_row_only() -> None:
    worker_seen(worker=identity(pid=8), busy=0)
    worker_gone(worker=identity(pid=7))
    assert WorkerProcess.objects.count() == 1
    worker_gone(worker=identity(pid=8))
    assert WorkerProcess.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_nothing_brings_the_row_back_after_the_worker_left() -> None:
    presence = Presence(identity())
    presence.report()
    assert WorkerProcess.objects.get().queues == ["devices"]
    presence.leave()
    presence.report()
    assert WorkerProcess.objects.count() == 0


@pytest.mark.django_db
def test_a_worker_that_was_not_seen_for_a_lease_is_dead(configure: Callable[..., None]) -> None:
    configure(lease_seconds=60)
    worker_seen(worker=identity("alive@here"), busy=0)
    worker_seen(worker=identity("dead@here", 8, "zone.b"), busy=0)
    last_seen("alive@here", seconds=50)
    last_seen("dead@here", seconds=70)
    known = {worker.node: worker.is_alive for worker in workers_known()}
    assert known == {"alive@here": True, "dead@here": False}
    assert [worker.node for worker in workers_alive()] == ["alive@here"]
    assert queues_served() == {"devices"}


@pytest.mark.django_db(transaction=True)
def test_a_dead_worker_is_forgotten_after_a_day() -> None:
    for node, hours in [("old@here", 25), ("young@here", 23)]:
        worker_seen(worker=identity(node), busy=0)
        last_seen(node, hours=hours)
    assert workers_prune(dry_run=True) == 1
    assert WorkerProcess.objects.count() == 2
    prune()
    assert [worker.node for worker in WorkerProcess.objects.all()] == ["young@here"]


@contextmanager
def celery_worker(tmp_path: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """A real worker process on the test's database and broker."""
    database = connection.settings_dict["NAME"]
    url = os.environ["DATABASE_URL"].replace("/netraven?", f"/{database}?")
    assert database in url
    settings = {
        "DATABASE_URL": url,
        "NETRAVEN_DATA_DIR": str(tmp_path),
        "NETRAVEN_HEARTBEAT_SECONDS": "0.5",
    }
    command = [sys.executable, "-m", "celery", "-q", "-A", "netraven_site", "worker", *options]
    command += ["--without-mingle", "--without-gossip"]
    with subprocess.Popen(command, cwd=_PROJECT, env=os.environ | settings) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_a_real_worker_comes_and_goes(tmp_path: Path, pool: str) -> None:
    options = ["-P", pool, "-c", "3", "-Q", "zone.lone,zone.other", "-n", f"{pool}@test"]
    with celery_worker(tmp_path, *options) as process:
        wait_for(WorkerProcess.objects.exists, "the row of the worker", 60)
        row = WorkerProcess.objects.get()
        assert (row.node, row.host, row.pid) == (f"{pool}@test", "test", process.pid)
        assert (row.queues, row.concurrency, row.busy) == (["zone.lone", "zone.other"], 3, 0)
        wait_for(
            lambda: WorkerProcess.objects.filter(seen_at__gt=row.seen_at).exists(),
            "another sign of life",
        )
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert WorkerProcess.objects.count() == 0


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_killed_worker_leaves_its_row(tmp_path: Path) -> None:
    options = ["-P", "threads", "-c", "1", "-Q", "zone.lone", "-n", "killed@test"]
    with celery_worker(tmp_path, *options) as process:
        wait_for(WorkerProcess.objects.exists, "the row of the worker", 60)
        process.kill()
        process.wait(10)
    assert WorkerProcess.objects.get().node == "killed@test"
