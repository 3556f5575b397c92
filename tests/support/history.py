"""Stored revisions of devices, for tests that read them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from backups.models import Snapshot
from backups.services.commits import snapshots_commit
from backups.services.store import RunLabel, backup_store
from inventory.models import Device
from tests.factories import backup_outcome

NIGHTLY = RunLabel(run_id=1, job_name="nightly")


def store_texts(device: Device, texts: Iterable[str], label: RunLabel = NIGHTLY) -> list[Snapshot]:
    """Store ``texts`` as revisions of ``device``, in Git as well, oldest first."""
    snapshots = []
    for text in texts:
        snapshot = backup_store(device=device, outcome=backup_outcome(text), label=label)
        assert snapshot is not None
        snapshots_commit(device_id=device.pk)
        snapshot.refresh_from_db()
        snapshots.append(snapshot)
    return snapshots


def copy_rows(snapshots: Iterable[Snapshot], count: int) -> None:
    """Add ``count`` rows before the first of ``snapshots`` that stand for the same texts."""
    models = list(snapshots)
    oldest = models[0].collected_at
    copies = []
    for number in range(count):
        copy = Snapshot.objects.get(pk=models[number % len(models)].pk)
        copy.pk = None
        copy.collected_at = oldest - timedelta(hours=number + 1)
        copies.append(copy)
    Snapshot.objects.bulk_create(copies)
