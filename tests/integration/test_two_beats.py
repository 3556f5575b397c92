"""Two real beats ring at the same time while two reconcilers look: one run per planned time."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.db import connection
from django.utils import timezone
from django_celery_beat.models import PeriodicTask, PeriodicTasks

from jobs.models import Job, JobRun
from jobs.schedules import slots_answer
from netraven_site.celery import app
from tests.factories import JobFactory
from tests.support.threads import all_at_once
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("worker")]

_PROJECT = Path(__file__).parents[2]
_SECONDS = 90


@pytest.fixture
def beats(tmp_path: Path) -> Iterator[list[Path]]:
    """Two processes of ``celery beat`` on this test's database; gives the files they log to."""
    url = urlsplit(os.environ["DATABASE_URL"])
    environment = os.environ | {
        "DATABASE_URL": url._replace(path=f"/{connection.settings_dict['NAME']}").geturl(),
        "PYTHONPATH": str(_PROJECT),
        "NETRAVEN_LOG_LEVEL": "DEBUG",
    }
    argv = [sys.executable, "-m", "celery", "-q", "-A", "netraven_site", "beat"]
    logs = [tmp_path / f"beat{number}.log" for number in range(2)]
    with ExitStack() as stack:
        for log in logs:
            output = stack.enter_context(log.open("wb"))
            beat = subprocess.Popen(
                [*argv, "--pidfile=", "-l", "info"],
                env=environment,
                cwd=tmp_path,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            stack.callback(beat.wait, _SECONDS)
            stack.callback(beat.terminate)
        wait_for(lambda: all(said(log, "beat: Starting") for log in logs), "two beats", _SECONDS)
        yield logs


@pytest.mark.timeout(3 * _SECONDS)
def test_one_run_per_planned_time(beats: list[Path]) -> None:
    planned = timezone.now() + timedelta(seconds=15)
    before = planned - timedelta(seconds=60)
    jobs = [JobFactory.create(schedule_type="interval", interval_seconds=60) for _ in range(3)]
    Job.objects.update(scheduled_since=before)
    PeriodicTask.objects.filter(job__in=jobs).update(last_run_at=before)
    PeriodicTasks.update_changed()

    def every_beat_rang() -> bool:
        rings = [f"Sending due task netraven job {job.pk} " for job in jobs]
        return all(said(log, ring) for log in beats for ring in rings)

    wait_for(lambda: timezone.now() >= planned, "the planned time", _SECONDS)
    all_at_once(2, slots_answer)
    wait_for(every_beat_rang, "each beat to ring for each job", _SECONDS)
    wait_for(lambda: queue_length() == 0, "a worker to hear every ring", _SECONDS)
    all_at_once(2, slots_answer)
    found = JobRun.objects.filter(slot_at=planned).values_list("job", flat=True)
    assert sorted(found) == [job.pk for job in jobs]


def queue_length() -> int:
    with app.connection_or_acquire() as broker:
        return int(broker.default_channel.client.llen("control"))


def said(log: Path, words: str) -> bool:
    return words in log.read_text(encoding="utf-8", errors="replace")
