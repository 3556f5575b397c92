"""Whether every snapshot stands in Git as its row says."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator

from django.db.models import Exists, OuterRef, QuerySet

from backups.engine.errors import DeviceError
from backups.engine.git.inspection import Inspection
from backups.models import Archive, Snapshot, SnapshotState
from backups.services.verify_report import Finding, Problem, Report
from inventory.models import Device

#: Called with how many more rows were looked at.
Progress = Callable[[int], None]
_AT_ONCE = 100
_IN_FILES = 500


class GitCheck:
    """Compares rows with one repository that can be opened.

    Whatever is found is looked at once more before it is reported: jobs may run meanwhile. Memory
    grows by 80 bytes per commit and 200 bytes per device, not with the texts.
    """

    def __init__(self, inspection: Inspection, report: Report) -> None:
        self._inspection = inspection
        self._report = report
        self._reachable = self._commits()

    def snapshots(self, rows: QuerySet[Snapshot], progress: Progress) -> None:
        """Check the text and the commit of each of ``rows``."""
        for batch in batches(rows.exclude(state=SnapshotState.PENDING)):
            self._check_again({finding.snapshot_id for finding in self._check(batch)})
            self._report.checked["snapshots"] += len(batch)
            progress(len(batch))

    def _check_again(self, suspicious: set[int | None]) -> None:
        """Report what is still wrong with these snapshots as they are by now."""
        if not suspicious:
            return
        self._reachable = self._commits()
        rows = Snapshot.objects.filter(pk__in=[pk for pk in suspicious if pk is not None])
        for finding in self._check(list(rows.select_related("device"))):
            self._report.add(finding)

    def newest(self) -> None:
        """Check that the newest commit holds the newest snapshot of each device, and no more."""
        files = self._inspection.files()
        self._report.checked["files"] = len(files)
        unknown = set(files)
        for devices in _id_ranges(Device.objects.all(), _IN_FILES):
            unknown -= set(
                Snapshot.objects.filter(device__in=devices).values_list("path", flat=True)
            )
            if differing := self._differing(devices, files):
                for finding in self._differing(differing, self._inspection.files()).values():
                    self._report.add(finding)
        for path in sorted(unknown):
            self._report.add(
                Finding(problem=Problem.FILE_UNKNOWN, detail=f"no snapshot knows the file {path}")
            )

    def unnamed_commits(self) -> None:
        """Note how many commits no row names."""
        named = Snapshot.objects.filter(state=SnapshotState.COMMITTED)
        number = len(self._commits()) - named.values("commit").distinct().count()
        if number > 0:
            self._report.notes.append(
                f"{number} commits are named by no snapshot; a deleted revision, a removed file "
                "and a process that dies right after a commit leave one each, which does no harm"
            )

    def _commits(self) -> set[bytes]:
        try:
            return self._inspection.commit_ids()
        except DeviceError as error:
            self._report.add(
                Finding(problem=Problem.REPOSITORY_DAMAGED, detail=error.message[:300])
            )
            return set()

    def _check(self, snapshots: list[Snapshot]) -> list[Finding]:
        committed = [row for row in snapshots if row.state == SnapshotState.COMMITTED]
        findings = [_lost(row) for row in snapshots if row.state == SnapshotState.LOST]
        texts = self._inspection.texts(row.blob for row in committed)
        at_commit = self._inspection.blobs_at([(row.commit, row.path) for row in committed])
        for row, (_, text), blob in zip(committed, texts, at_commit, strict=True):
            finding = _text_problem(row, text) or self._commit_problem(row, blob)
            if finding is not None:
                findings.append(finding)
        return [finding for finding in findings if finding is not None]

    def _commit_problem(self, row: Snapshot, blob: str | None) -> Finding | None:
        if _packed(row.commit) not in self._reachable:
            detail = f"the history does not contain its commit {row.commit[:10]}"
        elif blob != row.blob:
            detail = f"in its commit {row.commit[:10]} something else stands at {row.path}"
        else:
            return None
        return _finding(Problem.COMMIT_WRONG, row, detail)

    def _differing(self, devices: Iterable[int], files: dict[str, str]) -> dict[int, Finding]:
        """What is wrong with the newest file of each of ``devices``, by device.

        While a snapshot waits for Git, the file may be either: a process may have died between
        the commit and the row.
        """
        pending = Snapshot.objects.filter(device=OuterRef("device"), state=SnapshotState.PENDING)
        newest = (
            Snapshot.objects.filter(device__in=list(devices))
            .exclude(Exists(pending))
            .order_by("device_id", "-collected_at", "-id")
            .distinct("device_id")
            .select_related("device")
        )
        return {
            row.device_id: _finding(
                Problem.NEWEST_DIFFERS, row, f"the newest commit has another text at {row.path}"
            )
            for row in newest
            if row.state == SnapshotState.COMMITTED and files.get(row.path) != row.blob
        }


def batches(rows: QuerySet[Snapshot], at_once: int = _AT_ONCE) -> Iterator[list[Snapshot]]:
    """``rows`` by id, so many at a time; the text that waits for Git is left in the database."""
    last = 0
    page = rows.order_by("id").select_related("device").defer("pending_text")
    while batch := list(page.filter(pk__gt=last)[:at_once]):
        yield batch
        last = batch[-1].pk


def _id_ranges(rows: QuerySet[Device], at_once: int) -> Iterator[list[int]]:
    last = 0
    while ids := list(
        rows.filter(pk__gt=last).order_by("id").values_list("pk", flat=True)[:at_once]
    ):
        yield ids
        last = ids[-1]


def _packed(commit: str) -> bytes:
    """A commit id in 20 bytes; none for a text that is no id."""
    try:
        return bytes.fromhex(commit)
    except ValueError:
        return b""


def _text_problem(row: Snapshot, text: str | None) -> Finding | None:
    if text is None:
        detail = f"Git has no readable text for it (blob {row.blob[:10]})"
        return _finding(Problem.TEXT_MISSING, row, detail)
    if hashlib.sha256(text.encode()).hexdigest() != row.content_sha256:
        return _finding(Problem.ROW_WRONG, row, "its SHA-256 is not that of the text in Git")
    if (len(text.encode()), text.count("\n")) != (row.size_bytes, row.line_count):
        return _finding(Problem.ROW_WRONG, row, "its size is not that of the text in Git")
    return None


def _lost(row: Snapshot) -> Finding | None:
    """A text that is gone for good is known to be; one with an archive may come back."""
    if not Archive.objects.filter(snapshot=row).exists():
        return None
    return _finding(Problem.TEXT_LOST, row, "its text is lost, but there is a raw copy of it")


def _finding(problem: Problem, row: Snapshot, detail: str) -> Finding:
    return Finding(problem=problem, detail=detail, hostname=row.device.hostname, snapshot_id=row.pk)
