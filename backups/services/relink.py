"""Letting the rows of snapshots follow a repository that was built anew.

A journal beside the new repository says what each row is to become. It is complete before the
repository takes its place and deleted when all rows are written, so that a process that dies in
between is followed by one that goes on.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TextIO

from django.db import transaction

from backups.models import Snapshot, SnapshotState

_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    """What the row of one snapshot becomes; only the id is set where its text is lost."""

    snapshot_id: int
    commit: str = ""
    blob: str = ""
    lines_added: int = 0
    lines_removed: int = 0
    change_digest: str = ""
    content_sha256: str = ""
    size_bytes: int = 0
    line_count: int = 0

    @property
    def is_lost(self) -> bool:
        return not self.commit


def journal_write(file: TextIO, entry: Linked) -> None:
    """Add a line to the journal."""
    file.write(json.dumps(asdict(entry)) + "\n")


def journal_sync(file: TextIO) -> None:
    """Have the journal on disk before the repository takes its place."""
    file.flush()
    os.fsync(file.fileno())


def journal_apply(journal: Path) -> set[int]:
    """Bring all rows in step and delete the journal; gives the devices whose texts changed.

    Safe to run again after it was interrupted.
    """
    changed: set[int] = set()
    with journal.open(encoding="utf-8") as file:
        entries = (Linked(**json.loads(line)) for line in file)
        while batch := list(islice(entries, _AT_ONCE)):
            changed |= _apply(batch)
    journal.unlink()
    return changed


@transaction.atomic
def _apply(entries: Sequence[Linked]) -> set[int]:
    by_id = {entry.snapshot_id: entry for entry in entries}
    rows = list(
        Snapshot.objects.select_for_update()
        .defer("pending_text")
        .filter(pk__in=by_id)
        .order_by("pk")
    )
    changed = set(_become(rows, by_id))
    Snapshot.objects.bulk_update(
        rows,
        [
            "state",
            "commit",
            "blob",
            "lines_added",
            "lines_removed",
            "change_digest",
            "content_sha256",
            "size_bytes",
            "line_count",
        ],
    )
    return changed


def _become(rows: Sequence[Snapshot], by_id: dict[int, Linked]) -> Iterator[int]:
    """Fill ``rows`` in; gives the devices of those whose text is another one."""
    for row in rows:
        entry = by_id[row.pk]
        if row.state == SnapshotState.PENDING:
            continue  # was lost; a backup has found its text again meanwhile
        if entry.is_lost:
            row.state = SnapshotState.LOST
            continue
        if row.blob != entry.blob or row.state == SnapshotState.LOST:
            yield row.device_id
        row.state = SnapshotState.COMMITTED
        for name in (
            "commit",
            "blob",
            "lines_added",
            "lines_removed",
            "change_digest",
            "content_sha256",
            "size_bytes",
            "line_count",
        ):
            setattr(row, name, getattr(entry, name))
