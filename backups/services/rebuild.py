"""Building the Git store anew from everything that is known (docs/adr/0016)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TextIO

from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.db.models import Q
from django.utils import timezone

from backups.engine.git.branch import IMPORTED, MAIN
from backups.engine.git.failures import os_errors_named
from backups.engine.git.format import committed_at
from backups.engine.git.inspection import ObjectSource
from backups.engine.git.rebuild import Rebuild
from backups.engine.git.removal import remove_config
from backups.engine.git.store import GitStore
from backups.engine.git.turn import writing_turn
from backups.models import Snapshot, SnapshotState
from backups.selectors.git import commit_signer
from backups.services.commits import commit_request
from backups.services.recovery import Recovered, recover
from backups.services.relink import Linked, journal_apply, journal_sync, journal_write
from inventory.models import Device

#: Called with how many more snapshots are done.
Progress = Callable[[int], None]
_AT_ONCE = 100
_MOST_NAMED = 1000
#: A rebuild of a quarter of an hour must not fail because one writer is slow.
_LOCK_ATTEMPTS = 6


@dataclass(slots=True)
class Rebuilt:
    """What became of the snapshots."""

    #: Where the old repository is now; None when there was none.
    replaced: Path | None = None
    done: int = 0
    #: Texts that were redacted anew and are not what they were.
    changed: int = 0
    #: Snapshots whose texts are lost.
    lost_ids: set[int] = field(default_factory=set)
    #: A line for each snapshot of these two kinds, at the most a thousand, by its id.
    lines: dict[int, str] = field(default_factory=dict)
    #: Devices whose derived rows are to be made anew.
    devices: set[int] = field(default_factory=set)

    @property
    def lost(self) -> int:
        """How many texts are lost."""
        return len(self.lost_ids)

    @property
    def named(self) -> list[str]:
        """What is to be said of single snapshots, a line each."""
        return list(self.lines.values())


def store_rebuild(*, progress: Progress) -> Rebuilt:
    """Put a new repository in place of the one that there is, and let all rows follow.

    Every snapshot that was in Git is committed again, in the order of the collections. What was
    there is moved aside, not deleted. Callers hold ``Rebuild.alone``. Raises DeviceError when the
    new repository cannot be written; nothing has changed then.
    """
    rebuild = Rebuild(settings.NETRAVEN.git_directory)
    try:
        result = _build(rebuild, progress)
    except BaseException:
        rebuild.abandon()
        raise
    result.devices |= journal_apply(rebuild.journal)
    return result


def _build(rebuild: Rebuild, progress: Progress) -> Rebuilt:
    repository = settings.NETRAVEN.git_directory
    work = _Work(rebuild, progress)
    with os_errors_named(repository), rebuild.new_journal.open("w") as journal:
        work.add(_in_order(), journal)
        # After a long time that is much; only the rest of it has all writers wait.
        work.add(work.came_meanwhile(), journal)
        with transaction.atomic():
            _keep_writers_out()
            work.add(work.came_meanwhile(), journal)
            work.remove_purged()
            journal_sync(journal)
            with writing_turn(repository):
                work.result.replaced = rebuild.put_in_place(timezone.now())
    return work.result


class _Work:
    """Fills one new repository."""

    def __init__(self, rebuild: Rebuild, progress: Progress) -> None:
        self._rebuild = rebuild
        self._store: GitStore = rebuild.begin(sign=commit_signer())
        self._sources: list[ObjectSource] = rebuild.sources()
        self._progress = progress
        self.result = Rebuilt()
        self._seen: set[int] = set()
        #: What the main branch has: a device by path, and time and id of its newest snapshot.
        self._paths: dict[str, Device] = {}
        self._newest: dict[int, tuple[datetime, int]] = {}
        #: When the old commits of the batch were made, as far as they can be read.
        self._committed_at: dict[str, int] = {}

    def add(self, batches: Iterator[list[Snapshot]], journal: TextIO) -> None:
        """Commit the snapshots of ``batches`` and write down what their rows become."""
        for batch in batches:
            self._remember_times(batch)
            for recovered in recover(snapshots=batch, sources=self._sources):
                journal_write(journal, self._linked(recovered))
                self._seen.add(recovered.snapshot.pk)
            self._progress(len(batch))

    def came_meanwhile(self) -> Iterator[list[Snapshot]]:
        """Snapshots that jobs have brought into the old repository since they were looked for.

        One whose text was lost is among them when a backup has found it again.
        """
        rows = Snapshot.objects.exclude(state=SnapshotState.PENDING).order_by("collected_at", "id")
        ids = [
            pk
            for pk, state in rows.values_list("pk", "state").iterator()
            if pk not in self._seen
            or (pk in self.result.lost_ids and state == SnapshotState.COMMITTED)
        ]
        for start in range(0, len(ids), _AT_ONCE):
            yield list(rows.filter(pk__in=ids[start : start + _AT_ONCE]).select_related("device"))

    def remove_purged(self) -> None:
        """Remove the files of devices whose history was deleted while they were copied."""
        stored = Snapshot.objects.exclude(state=SnapshotState.PENDING).order_by()
        purged = self._paths.keys() - set(stored.values_list("path", flat=True).distinct())
        for path in purged:
            device = self._paths[path]
            remove_config(
                self._rebuild.new,
                path,
                hostname=device.hostname,
                device_id=device.pk,
                sign=commit_signer(),
            )

    def _linked(self, recovered: Recovered) -> Linked:
        snapshot, text = recovered.snapshot, recovered.text
        self.result.lost_ids.discard(snapshot.pk)
        self.result.lines.pop(snapshot.pk, None)
        if text is None:
            self.result.lost_ids.add(snapshot.pk)
            self._name(snapshot, f"lost: {recovered.reason}")
            return Linked(snapshot_id=snapshot.pk)
        if recovered.is_new:
            self.result.changed += 1
            self._name(snapshot, "redacted anew under the rules of today; its text has changed")
        self.result.done += 1
        body = text.encode()
        revision = self._store.save(
            commit_request(
                snapshot=snapshot,
                device=snapshot.device,
                text=text,
                branch=self._branch(snapshot),
                committed_at=self._committed_at.get(snapshot.commit),
            )
        )
        self._paths[snapshot.path] = snapshot.device
        return Linked(
            snapshot_id=snapshot.pk,
            commit=revision.commit,
            blob=revision.blob,
            lines_added=revision.lines_added,
            lines_removed=revision.lines_removed,
            change_digest=revision.change_digest,
            content_sha256=hashlib.sha256(body).hexdigest(),
            size_bytes=len(body),
            line_count=text.count("\n"),
        )

    def _remember_times(self, batch: Sequence[Snapshot]) -> None:
        """Equal dates give equal ids, as long as nothing else is different."""
        self._committed_at = {
            commit: committed_at(body)
            for source in reversed(self._sources)
            for commit, body in source.find("commit", [row.commit for row in batch]).items()
        }

    def _branch(self, snapshot: Snapshot) -> str:
        """Main where the new repository has nothing newer of the device, as in order of time."""
        place = (snapshot.collected_at, snapshot.pk)
        newest = self._newest.get(snapshot.device_id, place)
        if place < newest and snapshot.imported_from:
            return IMPORTED
        self._newest[snapshot.device_id] = max(place, newest)
        return MAIN

    def _name(self, snapshot: Snapshot, what: str) -> None:
        if len(self.result.lines) < _MOST_NAMED:
            self.result.lines[snapshot.pk] = (
                f"{snapshot.device.hostname}, snapshot {snapshot.pk} of "
                f"{snapshot.collected_at:%Y-%m-%d %H:%M}: {what}"
            )


def _in_order() -> Iterator[list[Snapshot]]:
    """All snapshots that were in Git, by the time of their collection."""
    rows = (
        Snapshot.objects.exclude(state=SnapshotState.PENDING)
        .select_related("device")
        .order_by("collected_at", "id")
    )
    batch = list(rows[:_AT_ONCE])
    while batch:
        yield batch
        last = batch[-1]
        later = Q(collected_at__gt=last.collected_at)
        later |= Q(collected_at=last.collected_at, id__gt=last.pk)
        batch = list(rows.filter(later)[:_AT_ONCE])


def _keep_writers_out() -> None:
    """Wait for those who write to Git, and let nobody begin before this transaction ends.

    Each of them holds the row of its device. Without this one could have written a text into the
    old repository and commit it to the new one, which does not have it.
    """
    for _ in range(_LOCK_ATTEMPTS - 1):
        with suppress(OperationalError):
            _lock_devices()
            return
    _lock_devices()


def _lock_devices() -> None:
    """Raises OperationalError after the ``lock_timeout``, so that new writers wait no longer."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("LOCK TABLE inventory_device IN EXCLUSIVE MODE")
