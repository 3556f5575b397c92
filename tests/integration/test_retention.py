"""What is deleted for its age: raw copies, suspects, logs and runs, by the tags of their device."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from math import inf
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from backups.models import (
    Archive,
    ArchiveReading,
    RetentionPolicy,
    Snapshot,
    Suspect,
    SuspectState,
)
from backups.selectors.retention import Retention, retention_combined
from backups.services.archives import archive_write
from backups.services.retention import PrunedArchives, archives_prune
from backups.services.verify import store_verify
from credentials.services import tags_ensure
from inventory.models import Device
from jobs.models import ConnectionLog, DeviceResult, JobLog, JobRun
from jobs.services.retention import PrunedLogs, logs_prune
from jobs.tasks import prune
from tests.factories import DeviceFactory, DeviceResultFactory, JobFactory, JobRunFactory
from tests.support.stored import store
from tests.support.threads import all_at_once

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("git_directory")]

HOUR = timedelta(hours=1)


def days_ago(days: float) -> datetime:
    return timezone.now() - timedelta(days=days)


def policy(name: str, *tags: str, **figures: int | None) -> RetentionPolicy:
    made = RetentionPolicy.objects.create(name=name, **figures)
    made.tags.set(tags_ensure(names=tags))
    return made


def archives(device: Device, *ages: float, name: str = "", with_snapshot: bool = True) -> list[int]:
    """Raw copies of these ages in days; their ids."""
    snapshot = None
    if with_snapshot:
        snapshot = store(device, "hostname x\n", commit=False)
        snapshot.archives.exclude(raw_digest="").delete()
    return [
        archive_write(
            device=device,
            raw=b"x",
            raw_digest="",
            collected_at=days_ago(age),
            snapshot=snapshot,
            name=name,
        ).pk
        for age in ages
    ]


def suspect(device: Device, age: float, state: SuspectState) -> Suspect:
    archive = archive_write(device=device, raw=b"x", raw_digest="", collected_at=days_ago(age))
    return Suspect.objects.create(
        device=device,
        archive=archive,
        state=state,
        accepted_by="jane" if state == SuspectState.ACCEPTED else "",
        dismissed_by="jane" if state == SuspectState.DISMISSED else "",
        collected_at=archive.collected_at,
    )


def left(device: Device) -> list[int]:
    return list(Archive.objects.filter(device=device).order_by("pk").values_list("pk", flat=True))


# --- archives -----------------------------------------------------------------------------------


def test_by_default_raw_copies_are_kept_for_ever() -> None:
    device = DeviceFactory.create()
    ids = archives(device, 5000, 4000, 3000)
    assert archives_prune() == PrunedArchives()
    assert left(device) == ids


@pytest.mark.parametrize(
    ("days", "count", "kept"),
    [
        (10, 1, [1, 2, 3]),  # by age: 9, 5 and 0 days
        (5, 1, [3]),
        (5, 2, [2, 3]),
        (1, 3, [1, 2, 3]),
        (1, 1, [3]),
        (30, 1, [0, 1, 2, 3]),
        (1, 9, [0, 1, 2, 3]),
    ],
)
def test_what_is_too_old_and_not_among_the_newest_goes(
    configure: Callable[..., None], days: int, count: int, kept: list[int]
) -> None:
    configure(archive_retention_days=days, archive_retention_count=count)
    device = DeviceFactory.create()
    ids = archives(device, 20, 9, 5.001, 0)
    assert archives_prune(dry_run=True).archives == 4 - len(kept)
    assert len(left(device)) == 4
    assert archives_prune().archives == 4 - len(kept)
    assert left(device) == [ids[number] for number in kept]
    assert archives_prune() == PrunedArchives()


def test_the_age_counts_to_the_moment(configure: Callable[..., None]) -> None:
    configure(archive_retention_days=7)
    device = DeviceFactory.create()
    _, older, younger, newest = archives(device, 8, 7.01, 6.99, 1)
    archives_prune()
    assert left(device) == [younger, newest]
    assert older not in left(device)


def test_the_newest_raw_copy_stays_however_old(configure: Callable[..., None]) -> None:
    configure(archive_retention_days=1)
    device = DeviceFactory.create()
    _, newest = archives(device, 4000, 3000)
    archives_prune()
    assert left(device) == [newest]


def test_artefacts_are_counted_by_their_names(configure: Callable[..., None]) -> None:
    configure(archive_retention_days=1, archive_retention_count=1)
    device = DeviceFactory.create()
    configs = archives(device, 50, 40)
    first = archives(device, 30, 20, name="backup.bin", with_snapshot=False)
    second = archives(device, 90, name="license.bin", with_snapshot=False)
    archives_prune()
    assert left(device) == [configs[1], first[1], *second]


def test_devices_do_not_count_for_each_other(configure: Callable[..., None]) -> None:
    configure(archive_retention_days=1)
    devices = [DeviceFactory.create() for _ in range(3)]
    ids = [archives(device, 9, 8) for device in devices]
    assert archives_prune().archives == 3
    assert [left(device) for device in devices] == [[newest] for _, newest in ids]


@pytest.mark.parametrize("closed", [SuspectState.OVERTAKEN, SuspectState.DISMISSED])
def test_an_open_suspect_keeps_its_raw_copy(
    configure: Callable[..., None], closed: SuspectState
) -> None:
    configure(archive_retention_days=1)
    device = DeviceFactory.create()
    waiting = suspect(device, 500, SuspectState.OPEN)
    old = suspect(device, 400, closed)
    young = suspect(device, 0.5, closed)
    assert archives_prune() == PrunedArchives(archives=1, suspects=1)
    assert list(Suspect.objects.order_by("pk")) == [waiting, young]
    assert not Archive.objects.filter(pk=old.archive_id).exists()


def test_who_accepted_is_known_as_long_as_the_raw_copy(configure: Callable[..., None]) -> None:
    configure(archive_retention_days=1)
    device = DeviceFactory.create()
    accepted = suspect(device, 10, SuspectState.ACCEPTED)
    Archive.objects.filter(pk=accepted.archive_id).update(
        snapshot=store(device, "one\n", commit=False)
    )
    Archive.objects.exclude(pk=accepted.archive_id).delete()
    assert archives_prune() == PrunedArchives()
    archives(device, 5)
    assert archives_prune() == PrunedArchives(archives=1, suspects=1)


def test_readings_outlive_the_raw_copy(configure: Callable[..., None]) -> None:
    configure(archive_retention_days=1)
    device = DeviceFactory.create()
    old, _ = archives(device, 9, 0)
    ArchiveReading.objects.create(
        archive_id=old, hostname="x", collected_at=days_ago(9), reader="jane", reason="audit"
    )
    archives_prune()
    reading = ArchiveReading.objects.get()
    assert (reading.archive, reading.reader) == (None, "jane")


def test_history_in_git_stays(configure: Callable[..., None]) -> None:
    configure(archive_retention_days=1)
    device = DeviceFactory.create()
    for number in range(3):
        store(device, f"{number}\n")
    Archive.objects.update(collected_at=days_ago(9))
    assert archives_prune().archives == 2
    assert Snapshot.objects.count() == 3
    assert store_verify(progress=lambda _: None).is_clean


# --- policies -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tags", "kept"),
    [
        ([], 1),  # the configuration: 5 days
        (["short"], 2),  # 2 days, but two of them
        (["long"], 3),
        (["short", "long"], 3),
        (["LONG"], 3),
        (["ever"], 4),
        (["short", "ever"], 4),
        (["other"], 1),
    ],
)
def test_of_several_policies_the_one_that_keeps_more(
    configure: Callable[..., None], tags: list[str], kept: int
) -> None:
    configure(archive_retention_days=5)
    policy("short", "short", archive_days=2, archive_count=2)
    policy("long", "long", "longer", archive_days=20)
    policy("ever", "ever")
    device = DeviceFactory.create(tags=tags)
    archives(device, 100, 15, 10, 8)
    archives_prune()
    assert len(left(device)) == kept


def test_each_figure_counts_by_itself() -> None:
    policy("days", "a", archive_days=20, archive_count=1)
    policy("count", "b", archive_days=1, archive_count=3)
    device = DeviceFactory.create(tags=["a", "b"])
    ids = archives(device, 60, 50, 40, 30, 25)
    archives_prune()
    assert left(device) == ids[2:]


def test_the_queries_do_not_grow_with_the_devices(configure: Callable[..., None]) -> None:
    configure(archive_retention_days=1)
    policy("long", "long", archive_days=20)

    def queries(devices: int) -> int:
        for number in range(devices):
            archives(DeviceFactory.create(tags=["long"] if number % 2 else []), 30, 0)
        with CaptureQueriesContext(connection) as captured:
            archives_prune(dry_run=True)
        return len(captured)

    assert queries(2) == queries(20)


_DAYS = st.none() | st.integers(1, 9)
_RETENTIONS = st.builds(
    Retention, archive_days=_DAYS, archive_count=st.integers(1, 9), log_days=_DAYS
)


@given(st.lists(_RETENTIONS, min_size=1, max_size=4), _RETENTIONS)
def test_a_further_policy_never_keeps_less(policies: list[Retention], more: Retention) -> None:
    def figures(retention: Retention) -> list[float]:
        days = (retention.archive_days, retention.log_days)
        return [retention.archive_count, *(inf if each is None else each for each in days)]

    before = figures(retention_combined(policies))
    after = figures(retention_combined([*policies, more]))
    assert after == [max(pair) for pair in zip(before, figures(more), strict=True)]


# --- logs and runs ------------------------------------------------------------------------------


def logs(run: JobRun, device: Device | None, *ages: float) -> None:
    for age in ages:
        for model, more in ((JobLog, {}), (ConnectionLog, {"attempt": 1})):
            row = model.objects.create(run=run, device=device, level="INFO", message="x", **more)
            model.objects.filter(pk=row.pk).update(created_at=days_ago(age))


def ages(device: Device | None) -> list[int]:
    """Ages in days of what is left of both logs."""
    rows = [*JobLog.objects.filter(device=device), *ConnectionLog.objects.filter(device=device)]
    return sorted((timezone.now() - row.created_at).days for row in rows)


def test_logs_go_by_the_tags_of_their_device() -> None:
    policy("short", "short", log_days=10)
    policy("long", "long", log_days=200)
    policy("ever", "ever")
    run = JobRunFactory.create()
    devices = {
        name: DeviceFactory.create(tags=tags)
        for name, tags in {
            "none": [],
            "short": ["short"],
            "both": ["short", "long"],
            "ever": ["ever"],
        }.items()
    }
    for device in (*devices.values(), None):
        logs(run, device, 300, 100, 89, 5)
    assert logs_prune(dry_run=True) == logs_prune()
    assert ages(devices["none"]) == [5, 5, 89, 89]
    assert ages(devices["short"]) == [5, 5]
    assert ages(devices["both"]) == [5, 5, 89, 89, 100, 100]
    assert ages(devices["ever"]) == [5, 5, 89, 89, 100, 100, 300, 300]
    assert ages(None) == [5, 5, 89, 89]


def test_old_lines_behind_newer_ones_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.services.retention._LOGS_AT_ONCE", 2)
    run = JobRunFactory.create()
    logs(run, None, 100, 1, 100, 100, 100)
    assert logs_prune().job_logs == 4
    assert ages(None) == [1, 1]


def ended(age: float, **fields: Any) -> JobRun:
    at = days_ago(age)
    return JobRunFactory.create(status="COMPLETED_SUCCESS", finished_at=at, **fields)


def test_runs_go_when_nothing_is_left_of_them() -> None:
    policy("ever", "ever")
    job = JobFactory.create()
    bare = ended(100, job=job)
    with_logs = ended(100, job=job)
    logs(with_logs, DeviceFactory.create(tags=["ever"]), 100)
    emptied = ended(100, job=job)
    logs(emptied, None, 100)
    young = ended(80, job=job)
    DeviceResultFactory.create(run=bare, status="SUCCEEDED", finished_at=days_ago(100))
    assert logs_prune() == PrunedLogs(job_logs=1, connection_logs=1, runs=2)
    assert list(JobRun.objects.order_by("pk")) == [with_logs, young]
    assert not DeviceResult.objects.exists()


def test_runs_that_say_when_a_job_ran_last_stay() -> None:
    job = JobFactory.create()
    slot = ended(300, job=job, slot_at=days_ago(300))
    ended(200, job=job)
    last = ended(100, job=job)
    running = JobRunFactory.create(job=JobFactory.create(), started_at=days_ago(400))
    without_job = ended(100, job=None, job_name="gone")
    assert logs_prune().runs == 2
    assert list(JobRun.objects.order_by("pk")) == [slot, last, running]
    assert not JobRun.objects.filter(pk=without_job.pk).exists()


# --- many processes, the command, the schedule --------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_many_at_once_delete_each_row_once(configure: Callable[..., None]) -> None:
    configure(archive_retention_days=1)
    for _ in range(5):
        archives(DeviceFactory.create(), *range(30, 1, -1))
    run = JobRunFactory.create()
    logs(run, None, *[100] * 30)

    def work() -> tuple[PrunedArchives, PrunedLogs]:
        return archives_prune(), logs_prune()

    done = all_at_once(6, work)
    assert sum(archives.archives for archives, _ in done) == 5 * 28
    assert sum(logs.job_logs for _, logs in done) == 30
    assert Archive.objects.count() == 5
    assert not JobLog.objects.exists()


def test_the_command_counts_and_deletes(configure: Callable[..., None]) -> None:
    configure(archive_retention_days=1)
    archives(DeviceFactory.create(), 9, 8, 0)

    def run(*arguments: str) -> str:
        out = io.StringIO()
        call_command("prune", *arguments, stdout=out)
        return out.getvalue()

    nothing_else = "0 suspects, 0 job logs, 0 connection logs, 0 runs, 0 dead workers, 0 messages\n"
    assert run("--dry-run") == f"would delete: 2 archives, {nothing_else}"
    assert Archive.objects.count() == 3
    assert json.loads(run("--json")) == {
        "dry_run": False,
        "archives": 2,
        "suspects": 0,
        "job_logs": 0,
        "connection_logs": 0,
        "runs": 0,
        "dead_workers": 0,
        "messages": 0,
    }
    assert run() == f"deleted: 0 archives, {nothing_else}"


@pytest.mark.django_db(transaction=True)
def test_the_scheduler_asks_for_it_every_day(configure: Callable[..., None]) -> None:
    configure(archive_retention_days=1)
    archives(DeviceFactory.create(), 9, 0)
    entry = settings.CELERY_BEAT_SCHEDULE["netraven-prune"]
    assert (entry["task"], entry["options"]) == (prune.name, {"queue": "control"})
    prune()
    assert Archive.objects.count() == 1
