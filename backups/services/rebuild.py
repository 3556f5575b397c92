"""Building the Git store anew from everything that is known (docs/adr/0016)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from backups.engine.authors import commit_author
from backups.engine.git.failures import os_errors_named
from backups.engine.git.inspection import ObjectSource
from backups.engine.git.rebuild import Rebuild
from backups.engine.git.store import GitStore
from backups.engine.git.turn import writing_turn
from backups.engine.redaction import redacted_from_store
from backups.engine.types import CommitRequest
from backups.models import Snapshot, SnapshotState
from backups.selectors.git import commit_signer
from backups.services.recovery import Recovered, recover
from backups.services.relink import Linked, journal_apply, journal_sync, journal_write

#: Called with how many more snapshots are done.
Progress = Callable[[int], None]
_AT_ONCE = 100
_MOST_NAMED = 1000


@dataclass(slots=True)
class Rebuilt:
    """What became of the snapshots."""

    #: Where the old repository is now; None when there was none.
    replaced: Path | None = None
    done: int = 0
    #: Texts that were redacted anew and are not what they were, and texts that are lost.
    changed: int = 0
    lost: int = 0
    #: One line for each of these, at the most a thousand.
    named: list[str] = field(default_factory=list)
    #: Devices whose derived rows are to be made anew.
    devices: set[int] = field(default_factory=set)


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
        with transaction.atomic():
            _keep_writers_out()
            work.add(_came_meanwhile(work.seen), journal)
            journal_sync(journal)
            with writing_turn(repository):
                work.result.replaced = rebuild.put_in_place(timezone.now())
    return work.result


class _Work:
    """Fills one new repository."""

    def __init__(self, rebuild: Rebuild, progress: Progress) -> None:
        self._store: GitStore = rebuild.begin(sign=commit_signer())
        self._sources: list[ObjectSource] = rebuild.sources()
        self._progress = progress
        self.result = Rebuilt()
        self.seen: set[int] = set()

    def add(self, batches: Iterator[list[Snapshot]], journal: TextIO) -> None:
        """Commit the snapshots of ``batches`` and write down what their rows become."""
        for batch in batches:
            for recovered in recover(snapshots=batch, sources=self._sources):
                journal_write(journal, self._linked(recovered))
                self.seen.add(recovered.snapshot.pk)
            self._progress(len(batch))

    def _linked(self, recovered: Recovered) -> Linked:
        snapshot, text = recovered.snapshot, recovered.text
        if text is None:
            self.result.lost += 1
            self._name(snapshot, f"lost: {recovered.reason}")
            return Linked(snapshot_id=snapshot.pk)
        if recovered.is_new:
            self.result.changed += 1
            self._name(snapshot, "redacted anew under the rules of today; its text has changed")
        self.result.done += 1
        body = text.encode()
        revision = self._store.save(_request(snapshot, text))
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

    def _name(self, snapshot: Snapshot, what: str) -> None:
        if len(self.result.named) < _MOST_NAMED:
            self.result.named.append(
                f"{snapshot.device.hostname}, snapshot {snapshot.pk} of "
                f"{snapshot.collected_at:%Y-%m-%d %H:%M}: {what}"
            )


def _request(snapshot: Snapshot, text: str) -> CommitRequest:
    return CommitRequest(
        path=snapshot.path,
        config=redacted_from_store(text),
        hostname=snapshot.device.hostname,
        device_id=snapshot.device_id,
        run_id=snapshot.run_id,
        job_name=snapshot.job_name,
        author=commit_author(snapshot.changed_by, snapshot.device.hostname),
        collected_at=int(snapshot.collected_at.timestamp()),
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


def _came_meanwhile(seen: set[int]) -> Iterator[list[Snapshot]]:
    """Snapshots that jobs brought into the old repository while the new one was built."""
    rows = Snapshot.objects.exclude(state=SnapshotState.PENDING).order_by("collected_at", "id")
    ids = [pk for pk in rows.values_list("pk", flat=True).iterator() if pk not in seen]
    for start in range(0, len(ids), _AT_ONCE):
        yield list(rows.filter(pk__in=ids[start : start + _AT_ONCE]).select_related("device"))


def _keep_writers_out() -> None:
    """Wait for those who write to Git, and let nobody begin before this transaction ends.

    Each of them holds the row of its device. Without this one could have written a text into the
    old repository and commit it to the new one, which does not have it.
    """
    with connection.cursor() as cursor:
        cursor.execute("LOCK TABLE inventory_device IN EXCLUSIVE MODE")
