"""Snapshots on their way into Git: what they are given there, and processes that die on the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from backups.engine.errors import DeviceError
from backups.models import Snapshot, SnapshotState
from backups.services.commits import snapshots_commit
from backups.services.store import RunLabel, backup_store
from inventory.models import Device
from tests.factories import DeviceFactory, backup_outcome
from tests.support.git_repository import history

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("git_directory")]


def store(device: Device, text: str) -> Snapshot:
    label = RunLabel(run_id=1, job_name="nightly")
    snapshot = backup_store(device=device, outcome=backup_outcome(text), label=label)
    assert snapshot is not None
    return snapshot


def test_equal_changes_of_devices_have_the_same_digest() -> None:
    devices = DeviceFactory.create_batch(2)
    for device in devices:
        store(device, f"hostname {device.hostname}\nend\n")
        store(device, f"hostname {device.hostname}\nntp x\nend\n")
        snapshots_commit(device_id=device.pk)
    first, second = (device.snapshots.order_by("id") for device in devices)
    assert [snapshot.change_digest for snapshot in first] == [
        snapshot.change_digest for snapshot in second
    ]
    assert [len(snapshot.change_digest) for snapshot in first] == [0, 64]


def test_a_process_that_dies_after_the_commit_costs_nothing(git_directory: Path) -> None:
    device = DeviceFactory.create()
    for text in ("a\nb\n", "a\nc\nd\n"):
        store(device, text)
    snapshots_commit(device_id=device.pk)
    before = list(Snapshot.objects.order_by("id").values())
    forget_the_last_commit()
    snapshots_commit(device_id=device.pk)
    assert list(Snapshot.objects.order_by("id").values()) == before
    assert len(history(git_directory)) == 2


def test_what_a_damaged_store_cannot_say_stops_no_other_device(git_directory: Path) -> None:
    """The reconciler goes on after a DeviceError, and after nothing else."""
    device = DeviceFactory.create()
    for text in ("a\nb\n", "a\nc\nd\n"):
        store(device, text)
    snapshots_commit(device_id=device.pk)
    first = Snapshot.objects.earliest("id")
    forget_the_last_commit()
    (git_directory / "objects" / first.blob[:2] / first.blob[2:]).unlink()
    with pytest.raises(DeviceError, match="The Git store is damaged: what snapshot"):
        snapshots_commit(device_id=device.pk)


def forget_the_last_commit() -> None:
    """Let the database look as when a process died right after git had the commit."""
    last = Snapshot.objects.latest("id")
    Snapshot.objects.filter(pk=last.pk).update(
        state=SnapshotState.PENDING,
        commit="",
        blob="",
        pending_text="a\nc\nd\n",
        lines_added=0,
        lines_removed=0,
        change_digest="",
    )
