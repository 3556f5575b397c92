"""Stored revisions of devices, for tests that read them."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from datetime import timedelta

from backups.models import Snapshot
from backups.services.store import RunLabel
from inventory.models import Device
from tests.support.stored import LABEL, store


def store_texts(device: Device, texts: Iterable[str], label: RunLabel = LABEL) -> list[Snapshot]:
    """Store ``texts`` as revisions of ``device``, in Git as well, oldest first."""
    return [store(device, text, label=label) for text in texts]


def copy_rows(snapshots: Iterable[Snapshot], count: int) -> None:
    """Add ``count`` rows before the first of ``snapshots`` that stand for the same texts."""
    models = list(snapshots)
    oldest = models[0].collected_at
    copies = []
    for number in range(count):
        row = copy(models[number % len(models)])
        row.pk = None
        row.collected_at = oldest - timedelta(hours=number + 1)
        copies.append(row)
    Snapshot.objects.bulk_create(copies)
