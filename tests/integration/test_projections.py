"""What is derived from stored revisions: kept up with each backup, and made anew from Git."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backups.engine.search import unpack
from backups.models import Archive, CurrentText, SecretUse, Snapshot
from backups.selectors.git import git_store
from backups.services import projections
from backups.services.commits import snapshots_commit
from backups.services.store import RunLabel, backup_store
from inventory.models import Device
from jobs.reconcile import reconcile
from tests.factories import DeviceFactory, backup_outcome

LABEL = RunLabel(run_id=1, job_name="nightly")
A, B, C = (f"<redacted:{digit * 8}>" for digit in "abc")
#: Revisions of one device, in which the key changes, then the community, then neither.
HISTORY = (
    f"community {A}\nkey {A}\n",
    f"community {A}\nkey {B}\n",
    f"hostname x\ncommunity {C}\nkey {B}\n",
    f"hostname y\ncommunity {C}\nkey {B}\n",
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("git_directory")]


def back_up(device: Device, *texts: str) -> list[datetime]:
    """Store revisions and bring them into Git; gives when each was collected."""
    for text in texts:
        backup_store(device=device, outcome=backup_outcome(text), label=LABEL)
        snapshots_commit(device_id=device.pk)
    rows = Snapshot.objects.filter(device=device).order_by("collected_at", "id")
    return list(rows.values_list("collected_at", flat=True))


def text_of(device: Device) -> str:
    return unpack(CurrentText.objects.get(device=device).packed).decode()


def rows_of(device: Device) -> list[tuple[Any, ...]]:
    fields = ("place", "occurrence", "line_number", "token", "first_seen_at", "changed_at")
    return list(SecretUse.objects.filter(device=device).values_list(*fields))


def forget_everything() -> None:
    """As after an upgrade from a version without projections."""
    CurrentText.objects.all().delete()
    SecretUse.objects.all().delete()
    Snapshot.objects.update(is_projected=False)


def catch_up_all(limit: int = 1000) -> int:
    total = 0
    while done := projections.catch_up(limit=limit):
        assert done <= limit
        total += done
    return total


def test_a_backup_keeps_text_and_secrets_up_to_date() -> None:
    device = DeviceFactory.create()
    times = back_up(device, *HISTORY)
    assert text_of(device) == HISTORY[-1]
    assert rows_of(device) == [
        ("community <redacted>", 0, 2, "cccccccc", times[0], times[2]),
        ("key <redacted>", 0, 3, "bbbbbbbb", times[0], times[1]),
    ]
    assert projections.catch_up(limit=1) == 0


def test_a_place_that_is_gone_has_no_row() -> None:
    device = DeviceFactory.create()
    back_up(device, HISTORY[0], f"key {A}\n")
    assert [row[0] for row in rows_of(device)] == ["key <redacted>"]


def test_an_unchanged_backup_costs_nothing() -> None:
    device = DeviceFactory.create()
    back_up(device, HISTORY[0])
    with CaptureQueriesContext(
        connection,
    ) as queries:
        back_up(device, HISTORY[0])
    statements = [query["sql"] for query in queries if not query["sql"].startswith("SELECT")]
    assert statements
    assert not any("secretuse" in sql or "currenttext" in sql for sql in statements)


def test_a_backup_that_is_rolled_back_leaves_nothing() -> None:
    device = DeviceFactory.create()
    with pytest.raises(RuntimeError), transaction.atomic():
        backup_store(device=device, outcome=backup_outcome(HISTORY[0]), label=LABEL)
        raise RuntimeError
    assert not CurrentText.objects.exists() and not SecretUse.objects.exists()


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_stored_history_is_replayed(limit: int) -> None:
    devices = [DeviceFactory.create() for _ in range(2)]
    for device in devices:
        back_up(device, *HISTORY)
    backup_store(device=devices[0], outcome=backup_outcome(f"key {B}\n"), label=LABEL)  # pending
    before = [(text_of(device), rows_of(device)) for device in devices]
    forget_everything()
    assert catch_up_all(limit) == 2 + 2 * len(HISTORY) + 1
    assert [(text_of(device), rows_of(device)) for device in devices] == before
    assert reconcile().revisions_indexed == 0


def test_texts_come_first() -> None:
    devices = [DeviceFactory.create() for _ in range(3)]
    for device in devices:
        back_up(device, *HISTORY)
    forget_everything()
    assert projections.catch_up(limit=3) == 3
    assert [text_of(device) for device in devices] == [HISTORY[-1]] * 3
    assert not SecretUse.objects.exists()


def test_the_reconciler_catches_up() -> None:
    device = DeviceFactory.create()
    back_up(device, *HISTORY)
    before = rows_of(device)
    forget_everything()
    assert reconcile().revisions_indexed == 1 + len(HISTORY)
    assert rows_of(device) == before


def imported(device: Device, text: str, collected_at: datetime) -> None:
    """A revision of before, as an import of a foreign history stores it."""
    Snapshot.objects.create(
        device=device,
        content_sha256=hashlib.sha256(text.encode()).hexdigest(),
        pending_text=text,
        path="imported",
        size_bytes=len(text),
        line_count=1,
        collected_at=collected_at,
        imported_from="rancid:old",
    )


def test_imported_history_gives_earlier_dates() -> None:
    device = DeviceFactory.create()
    times = back_up(device, *HISTORY[:2])
    year = times[0] - timedelta(days=365)
    imported(device, f"key {A}\n", year + timedelta(days=1))
    imported(device, f"key {C}\n", year)
    assert catch_up_all(2) == 4
    assert text_of(device) == HISTORY[1]
    assert rows_of(device) == [
        ("community <redacted>", 0, 1, "aaaaaaaa", times[0], times[0]),
        ("key <redacted>", 0, 2, "bbbbbbbb", year, times[1]),
    ]


def test_a_revision_that_is_imported_in_between_is_put_in_its_place() -> None:
    device = DeviceFactory.create()
    newest = back_up(device, *HISTORY[:2])[1]
    oldest = newest - timedelta(days=10)
    Snapshot.objects.exclude(collected_at=newest).update(collected_at=oldest)
    projections.rebuild(device=device)
    imported(device, f"key {B}\n", newest - timedelta(days=5))
    assert catch_up_all() == 3
    assert rows_of(device) == [
        ("community <redacted>", 0, 1, "aaaaaaaa", newest, newest),
        ("key <redacted>", 0, 2, "bbbbbbbb", oldest, newest - timedelta(days=5)),
    ]


def test_a_history_of_only_imported_revisions_is_searched_as_well() -> None:
    device = DeviceFactory.create()
    now = timezone.now()
    imported(device, f"key {A}\n", now - timedelta(days=2))
    assert catch_up_all() == 2
    imported(device, f"key {B}\n", now - timedelta(days=1))
    assert catch_up_all() == 1
    assert text_of(device) == f"key {B}\n"
    assert [row[3] for row in rows_of(device)] == ["bbbbbbbb"]


def test_a_backup_in_the_middle_is_searched_at_once_and_dated_later() -> None:
    device = DeviceFactory.create()
    back_up(device, *HISTORY[:3])
    forget_everything()
    assert projections.catch_up(limit=2) == 2  # the text and one of three revisions
    times = back_up(device, HISTORY[3])
    assert text_of(device) == HISTORY[3]
    assert catch_up_all() == 3
    assert [row[4:] for row in rows_of(device)] == [(times[0], times[2]), (times[0], times[1])]


def test_a_backup_of_a_device_without_text_is_searched_at_once() -> None:
    device = DeviceFactory.create()
    back_up(device, *HISTORY[:3])
    CurrentText.objects.all().delete()
    times = back_up(device, HISTORY[3])
    assert text_of(device) == HISTORY[3]
    assert catch_up_all() == 4
    assert [row[4:] for row in rows_of(device)] == [(times[0], times[2]), (times[0], times[1])]


def test_a_deleted_revision_is_forgotten() -> None:
    device = DeviceFactory.create()
    times = back_up(device, *HISTORY[:3])
    Archive.objects.all().delete()
    Snapshot.objects.filter(collected_at=times[2]).delete()
    assert catch_up_all() == 3
    assert text_of(device) == HISTORY[1]
    assert rows_of(device) == [
        ("community <redacted>", 0, 1, "aaaaaaaa", times[0], times[0]),
        ("key <redacted>", 0, 2, "bbbbbbbb", times[0], times[1]),
    ]


def test_one_device_is_made_anew() -> None:
    device = DeviceFactory.create()
    back_up(device, *HISTORY)
    before = rows_of(device)
    SecretUse.objects.update(token="dddddddd", place="wrong")
    CurrentText.objects.update(packed=b"wrong")
    assert projections.rebuild(device=device) == len(HISTORY)
    assert (text_of(device), rows_of(device)) == (HISTORY[-1], before)


def test_a_device_whose_revisions_cannot_be_read_holds_up_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken, good = (DeviceFactory.create() for _ in range(2))
    back_up(broken, *HISTORY)
    back_up(good, *HISTORY)
    forget_everything()
    Snapshot.objects.filter(device=broken).update(blob="0" * 40)
    with caplog.at_level(logging.WARNING, logger="backups.services.projections"):
        assert catch_up_all() == 1 + len(HISTORY)
    assert text_of(good) == HISTORY[-1]
    assert not CurrentText.objects.filter(device=broken).exists()
    (problem,) = {record.msg["error"] for record in caplog.records if isinstance(record.msg, dict)}
    assert problem.startswith(f"{broken.hostname}: ")
    with pytest.raises(projections.NotIndexed, match=broken.hostname):
        projections.rebuild(device=broken)


def test_a_git_store_that_is_gone_loses_nothing(git_directory: Path) -> None:
    device = DeviceFactory.create()
    back_up(device, *HISTORY)
    before = rows_of(device)
    Snapshot.objects.update(is_projected=False)
    git_directory.rename(git_directory.with_suffix(".away"))
    git_store.cache_clear()
    assert projections.catch_up(limit=100) == 0
    assert (text_of(device), rows_of(device)) == (HISTORY[-1], before)


def test_a_lost_text_changes_no_date_and_is_not_searched(
    caplog: pytest.LogCaptureFixture,
) -> None:
    device = DeviceFactory.create()
    times = back_up(device, *HISTORY[:3])
    before = rows_of(device)
    Snapshot.objects.filter(collected_at__in=times[:2]).update(state="LOST")
    assert projections.rebuild(device=device) == 3
    assert [row[4:] for row in rows_of(device)] == [(times[2], times[2])] * 2
    Snapshot.objects.update(state="COMMITTED")
    assert projections.rebuild(device=device) == 3
    assert rows_of(device) == before
    Snapshot.objects.filter(collected_at=times[2]).update(state="LOST")
    projections.rebuild(device=device)
    assert text_of(device) == HISTORY[2]  # kept: it may be the last copy
    CurrentText.objects.all().delete()
    assert catch_up_all() == 0
    assert not CurrentText.objects.exists()
    assert "search_index.behind" not in caplog.text  # nothing that another pass could help


@contextmanager
def locked_elsewhere(device: Device) -> Iterator[None]:
    """Another connection holds the row of ``device``."""
    with connection.copy().cursor() as cursor:
        raw = cursor.connection
        raw.autocommit = False
        raw.execute("SELECT 1 FROM inventory_device WHERE id = %s FOR NO KEY UPDATE", [device.pk])
        try:
            yield
        finally:
            raw.rollback()
            raw.close()


@pytest.mark.django_db(transaction=True)
def test_a_device_that_is_being_worked_on_is_left_for_later() -> None:
    device = DeviceFactory.create()
    back_up(device, *HISTORY)
    forget_everything()
    with locked_elsewhere(device):
        assert projections.catch_up(limit=100) == 0
    assert catch_up_all() == 1 + len(HISTORY)


def test_texts_are_not_compressed_twice() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT attstorage FROM pg_attribute"
            " WHERE attrelid = 'backups_currenttext'::regclass AND attname = 'packed'"
        )
        assert cursor.fetchone() == ("e",)
