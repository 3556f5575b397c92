"""Mending what can be mended without losing anything (docs/adr/0016)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings

from backups.engine.git.inspection import Inspection
from backups.engine.git.rebuild import Rebuild
from backups.models import CurrentText, Snapshot, SnapshotState
from backups.selectors.git import git_require_here
from backups.services import projections
from backups.services.rebuild import store_rebuild
from backups.services.relink import journal_apply
from backups.services.verify import store_verify
from backups.services.verify_git import Progress, batches
from backups.services.verify_report import BY_REBUILD, Problem, Report
from inventory.models import Device


@dataclass(slots=True)
class Repaired:
    """What a repair did; ``after`` is what is still wrong."""

    after: Report
    #: What was done, a sentence each.
    done: list[str] = field(default_factory=list)
    #: Snapshots whose text is lost or has changed, a line each.
    named: list[str] = field(default_factory=list)
    #: Where the old repository is now; None when it was not replaced.
    replaced: Path | None = None


def store_repair(*, progress: Progress) -> Repaired:
    """Bring database and Git in step again; nothing is deleted.

    Safe while jobs run, and after a repair that was interrupted. Raises DeviceError when the
    repository cannot be written, and on a host that is not the one where it lives.
    """
    git_require_here()
    rebuild = Rebuild(settings.NETRAVEN.git_directory)
    with rebuild.alone():
        repaired = Repaired(after=Report())
        _finish_interrupted(rebuild, repaired)
        before = store_verify(progress=progress)
        if before.counts.keys() & (BY_REBUILD | {Problem.TEXT_LOST}):
            _rebuild(progress, repaired)
        elif Problem.ROW_WRONG in before.counts:
            _correct_rows(repaired)
        if Problem.SEARCH_STALE in before.counts:
            _renew(_stale_devices(before), repaired)
        repaired.after = store_verify(progress=progress)
    return repaired


def _finish_interrupted(rebuild: Rebuild, repaired: Repaired) -> None:
    if rebuild.journal.exists():
        changed = journal_apply(rebuild.journal)
        repaired.done.append("an interrupted repair was brought to its end")
        _renew(changed, repaired)


def _rebuild(progress: Progress, repaired: Repaired) -> None:
    rebuilt = store_rebuild(progress=progress)
    repaired.replaced = rebuilt.replaced
    repaired.named += rebuilt.named
    repaired.done.append(
        f"the Git store was built anew with {rebuilt.done} snapshots; commits have new ids, so "
        "remotes have another history now"
    )
    if rebuilt.changed:
        repaired.done.append(f"{rebuilt.changed} texts were redacted anew and have changed")
    if rebuilt.lost:
        repaired.done.append(f"{rebuilt.lost} texts are lost; their snapshots stay listed as LOST")
    _renew(rebuilt.devices, repaired)


def _correct_rows(repaired: Repaired) -> None:
    """Write digest and sizes of the texts in Git, which are known by their ids to be whole."""
    inspection = Inspection(settings.NETRAVEN.git_directory)
    corrected = 0
    for batch in batches(Snapshot.objects.filter(state=SnapshotState.COMMITTED)):
        texts = inspection.texts(row.blob for row in batch)
        for row, (_, text) in zip(batch, texts, strict=True):
            corrected += text is not None and _correct(row, text)
    repaired.done.append(f"digest or size of {corrected} snapshots were corrected")


def _correct(row: Snapshot, text: str) -> bool:
    body = text.encode()
    right = {
        "content_sha256": hashlib.sha256(body).hexdigest(),
        "size_bytes": len(body),
        "line_count": text.count("\n"),
    }
    if all(getattr(row, name) == value for name, value in right.items()):
        return False
    return bool(Snapshot.objects.filter(pk=row.pk, blob=row.blob).update(**right))


def _stale_devices(report: Report) -> set[int]:
    named = {finding.snapshot_id for finding in report.findings[Problem.SEARCH_STALE]}
    rows = CurrentText.objects.filter(snapshot__in=named)
    return set(rows.values_list("device_id", flat=True))


def _renew(devices: Iterable[int], repaired: Repaired) -> None:
    """Make what is derived from the texts of ``devices`` anew."""
    renewed = 0
    for device in Device.objects.filter(pk__in=list(devices)):
        try:
            projections.rebuild(device=device)
        except projections.NotIndexed as error:
            repaired.done.append(f"searches do not see all of a device yet: {error}")
        else:
            renewed += 1
    if renewed:
        repaired.done.append(f"what searches see of {renewed} devices was made anew")
