"""Devices of zones: their queues, zones that nobody serves, and what they hold up: nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from inventory.models import Zone
from jobs.models import DeviceResult, JobLog, JobRun, WorkerProcess
from jobs.queues import zone_of, zone_queue
from jobs.reconcile import reconcile
from jobs.sending import device_queue
from jobs.services.runs import run_take_wave
from tests.factories import (
    CredentialFactory,
    DeviceFactory,
    DeviceResultFactory,
    JobRunFactory,
    ZoneFactory,
)
from tests.support.queues import messages_taken

Configure = Callable[..., None]
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("git_directory")]


def worker_on(*queues: str, seen_ago: timedelta = timedelta(0)) -> None:
    """A worker process that says it serves ``queues``."""
    now = timezone.now()
    WorkerProcess.objects.create(
        node=f"w{WorkerProcess.objects.count()}@host",
        host="host",
        pid=1,
        queues=list(queues),
        concurrency=1,
        started_at=now,
        seen_at=now - seen_ago,
    )


def unanswered(run: JobRun, zone: Zone | None) -> DeviceResult:
    """A device of ``run`` whose message was sent an hour ago."""
    device = DeviceFactory.create(zone=zone)
    return DeviceResultFactory.create(
        run=run, device=device, queued_at=timezone.now() - timedelta(hours=1)
    )


def test_a_zone_has_a_queue_by_its_name() -> None:
    zone = ZoneFactory.create(name="dmz")
    assert device_queue(DeviceFactory.create(zone=zone)) == "zone.dmz" == zone_queue("dmz")
    assert device_queue(DeviceFactory.create()) == device_queue(None) == "devices"
    assert (zone_of("zone.dmz"), zone_of("devices")) == ("dmz", None)


def test_the_log_names_the_queue_that_nobody_serves() -> None:
    run = JobRunFactory.create()
    unanswered(run, ZoneFactory.create(name="dmz"))
    unanswered(run, ZoneFactory.create(name="lab"))
    unanswered(run, None)
    worker_on("control", "git")
    worker_on("devices", "zone.lab")
    worker_on("zone.dmz", seen_ago=timedelta(hours=1))
    assert reconcile().messages_resent == 3
    [line] = JobLog.objects.filter(run=run, message__contains="no worker serves")
    assert line.level == "warning"
    assert "no worker serves the queue zone.dmz" in line.message
    assert "manage.py worker --zone dmz" in line.message


def test_it_is_said_once_per_run() -> None:
    zone = ZoneFactory.create(name="dmz")
    runs = [JobRunFactory.create() for _ in range(2)]
    worker_on("devices")
    for _ in range(2):
        for run in runs:
            unanswered(run, zone)
        reconcile()
    said = JobLog.objects.filter(message__contains="no worker serves")
    assert sorted(said.values_list("run_id", flat=True)) == [run.pk for run in runs]


def test_nothing_is_said_while_no_worker_is_known() -> None:
    unanswered(JobRunFactory.create(), ZoneFactory.create(name="dmz"))
    reconcile()
    assert not JobLog.objects.filter(message__contains="no worker serves").exists()


def test_a_zone_without_workers_does_not_hold_up_the_others(configure: Configure) -> None:
    configure(wave_size=2)
    run = JobRunFactory.create()
    zone = ZoneFactory.create(name="dmz")
    for _ in range(8):
        DeviceResultFactory.create(run=run, device=DeviceFactory.create(zone=zone), queued_at=None)
    for _ in range(4):
        DeviceResultFactory.create(run=run, device=DeviceFactory.create(), queued_at=None)
    waves = [run_take_wave(run=run) for _ in range(5)]
    zones = [[device_queue(result.device) for result in wave] for wave in waves]
    assert zones == [["zone.dmz"] * 2, ["zone.dmz"] * 2, ["devices"] * 2, ["devices"] * 2, []]


def test_what_there_is_room_for_is_sent_although_chords_hang(
    configure: Configure, git_directory: Path
) -> None:
    configure(wave_size=2, lockout_devices=0)
    queues = ("zone.dmz", "devices")
    CredentialFactory.create(tags=["all"])
    run = JobRunFactory.create()
    zone = ZoneFactory.create(name="dmz")
    for _ in range(4):
        device = DeviceFactory.create(zone=zone, tags=["all"])
        DeviceResultFactory.create(run=run, device=device, queued_at=timezone.now())
    device = DeviceFactory.create(tags=["all"])
    DeviceResultFactory.create(run=run, device=device, queued_at=None)
    messages_taken(*queues)
    reconcile()
    assert messages_taken(*queues) == Counter({("jobs.backup_device", "devices"): 1})
