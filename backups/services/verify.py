"""Whether database, archive and Git agree. Safe while jobs run.

It changes nothing but the record of the last check.
"""

from __future__ import annotations

import time
from datetime import timedelta

from django.conf import settings
from django.db.models import F, OuterRef, QuerySet, Subquery
from django.utils import timezone

from backups.engine.errors import DeviceError
from backups.engine.git.inspection import Inspection
from backups.engine.git.rebuild import Rebuild
from backups.models import Archive, CurrentText, Snapshot, SnapshotState
from backups.selectors.git import git_elsewhere, git_is_here, git_require_here
from backups.services.store_checks import store_check_keep
from backups.services.verify_archives import archives_check
from backups.services.verify_git import GitCheck, Progress, batches
from backups.services.verify_report import Finding, Problem, Report
from inventory.models import Device

#: A snapshot that waits for Git longer was not helped by the reconciler.
_PENDING_LONG = timedelta(hours=1)


def rows_to_check(*, device: Device | None = None) -> int:
    """How many steps of progress ``store_verify`` will report."""
    snapshots, archives = _rows(device)
    return snapshots.exclude(state=SnapshotState.PENDING).count() + archives.count()


def store_verify(*, progress: Progress, device: Device | None = None) -> Report:
    """Check every snapshot and every archive, of ``device`` only where it is given.

    With a device, what concerns the repository as a whole is left out; without one, the result is
    kept as the last check. Memory does not grow with the number of snapshots but for 80 bytes per
    commit. Raises DeviceError for the whole on a host that is not the one where Git lives.
    """
    if device is None:
        git_require_here()
    begin = time.monotonic()
    report = Report()
    snapshots, archives = _rows(device)
    _check_git(snapshots, report, progress, whole=device is None)
    _check_pending(snapshots, report)
    _check_searched_texts(snapshots, report)
    archives_check(rows=archives, report=report, progress=progress)
    if device is None:
        store_check_keep(report=report, seconds=time.monotonic() - begin)
    return report


def _rows(device: Device | None) -> tuple[QuerySet[Snapshot], QuerySet[Archive]]:
    snapshots, archives = Snapshot.objects.all(), Archive.objects.all()
    if device is None:
        return snapshots, archives
    return snapshots.filter(device=device), archives.filter(device=device)


def _check_git(
    snapshots: QuerySet[Snapshot], report: Report, progress: Progress, *, whole: bool
) -> None:
    inspection = Inspection(settings.NETRAVEN.git_directory)
    stored = Snapshot.objects.exclude(state=SnapshotState.PENDING)
    unusable = inspection.problem() if git_is_here() else git_elsewhere().message
    if unusable is None and inspection.is_empty():
        unusable = "The Git store is empty."
    if unusable is not None:
        if stored.exists():
            _add_unusable(unusable, stored.count(), report)
        return
    if whole:
        _check_repository(inspection, report)
    check = GitCheck(inspection, report)
    check.snapshots(snapshots, progress)
    if whole:
        _check_as_a_whole(check, report)


def _add_unusable(unusable: str, stored: int, report: Report) -> None:
    what = unusable.partition(". Run '")[0].rstrip(".")
    detail = f"{what}; the database knows {stored} snapshots that were in it"
    report.add(Finding(problem=Problem.STORE_UNUSABLE, detail=detail))


def _check_repository(inspection: Inspection, report: Report) -> None:
    if Rebuild(settings.NETRAVEN.git_directory).journal.exists():
        report.add(Finding(problem=Problem.RELINK_OPEN, detail="not all rows follow the new store"))
    for line in inspection.fsck():
        report.add(Finding(problem=Problem.REPOSITORY_DAMAGED, detail=line[:300]))


def _check_as_a_whole(check: GitCheck, report: Report) -> None:
    try:
        check.newest()
        if report.is_clean:
            check.unnamed_commits()
    except DeviceError as error:
        report.add(Finding(problem=Problem.REPOSITORY_DAMAGED, detail=error.message[:300]))


def _check_pending(snapshots: QuerySet[Snapshot], report: Report) -> None:
    before = timezone.now() - _PENDING_LONG
    waiting = snapshots.filter(state=SnapshotState.PENDING, collected_at__lt=before)
    for batch in batches(waiting):
        for row in batch:
            detail = f"it waits for Git since {row.collected_at:%Y-%m-%d %H:%M} UTC"
            report.add(
                Finding(
                    problem=Problem.PENDING_LONG,
                    detail=detail,
                    hostname=row.device.hostname,
                    snapshot_id=row.pk,
                )
            )


def _check_searched_texts(snapshots: QuerySet[Snapshot], report: Report) -> None:
    """A device without a searched text gets one by itself; one of an older revision does not."""
    newest = Snapshot.objects.filter(device=OuterRef("device")).order_by("-collected_at", "-id")
    stale = (
        CurrentText.objects.filter(device__in=snapshots.values("device"))
        .annotate(newest_id=Subquery(newest.values("pk")[:1]))
        .exclude(snapshot_id=F("newest_id"))
        .select_related("device")
    )
    for row in stale.defer("packed").iterator(chunk_size=1000):
        report.add(
            Finding(
                problem=Problem.SEARCH_STALE,
                detail="searches see an older revision than the newest",
                hostname=row.device.hostname,
                snapshot_id=row.snapshot_id,
            )
        )
