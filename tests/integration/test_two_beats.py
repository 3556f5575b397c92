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
from django_celery_beat.models import PeriodicTasks

from jobs.models import Job, JobRun
from jobs.schedules import slots_answer
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
        wait_for(lambda: all(noticed_a_change(log) for log in logs), "two beats", _SECONDS)
        yield logs


@pytest.mark.timeout(3 * _SECONDS)
def test_one_run_per_planned_time(beats: list[Path]) -> None:
    planned = timezone.now() + timedelta(seconds=15)
    once = [JobFactory.create(schedule_type="onetime", run_at=planned) for _ in range(3)]
    # Its next time is as near, and it has rung never before.
    often = JobFactory.create(schedule_type="interval", interval_seconds=60)
    Job.objects.filter(pk=often.pk).update(scheduled_since=planned - timedelta(seconds=60))

    def every_beat_rang() -> bool:
        rings = [f"Sending due task netraven job {job.pk} " for job in once]
        return all(said(log, ring) for log in beats for ring in rings)

    wait_for(lambda: timezone.now() >= planned, "the planned time", _SECONDS)
    all_at_once(2, slots_answer)
    wait_for(every_beat_rang, "each beat to ring for each job", _SECONDS)
    wait_for(lambda: JobRun.objects.count() >= 4, "a run of each job", _SECONDS)
    all_at_once(2, slots_answer)
    found = JobRun.objects.filter(slot_at=planned).values_list("job", flat=True)
    assert sorted(found) == sorted([*(job.pk for job in once), often.pk])
    assert not JobRun.objects.filter(job__in=once).exclude(slot_at=planned).exists()


def noticed_a_change(log: Path) -> bool:
    """Whether the beat that writes ``log`` is at work."""
    PeriodicTasks.update_changed()
    return said(log, "Schedule changed")


def said(log: Path, words: str) -> bool:
    return words in log.read_text(encoding="utf-8", errors="replace")
