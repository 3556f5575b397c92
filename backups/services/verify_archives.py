"""Whether the encrypted raw copies can be opened and are what their rows say."""

from __future__ import annotations

import hashlib
import hmac
import zlib
from collections.abc import Iterator

from django.db.models import Count, QuerySet

from backups.engine.errors import DeviceError
from backups.engine.normalise import normalise
from backups.models import Archive
from backups.selectors.archives import archive_bytes
from backups.services.redaction import redaction_key
from backups.services.sessions import device_platform
from backups.services.verify_git import Progress
from backups.services.verify_report import Finding, Problem, Report
from credentials.cipher import CipherError
from credentials.services import installation_cipher

#: An archive may have as many bytes as a device may print, so few are held at once.
_AT_ONCE = 10


def archives_check(*, rows: QuerySet[Archive], report: Report, progress: Progress) -> None:
    """Open each of ``rows``. One finding stands for all that need the same missing key."""
    known = _known_keys()
    missing = rows.exclude(key_id__in=known).values("key_id").order_by("key_id")
    for group in missing.annotate(number=Count("pk")):
        report.add(_key_missing(group["key_id"], group["number"]))
        progress(group["number"])
    others = _Others()
    for archive in _one_by_one(rows.filter(key_id__in=known)):
        finding = _check(archive, others) and _check_again(archive, others)
        if finding is not None:
            report.add(finding)
        report.checked["archives"] += 1
        progress(1)
    report.notes.extend(others.notes())


class _Others:
    """Counts archives whose digest says nothing about them being whole."""

    def __init__(self) -> None:
        self.under_other_rules: set[int] = set()
        self.without_platform: set[int] = set()

    def notes(self) -> Iterator[str]:
        if self.under_other_rules:
            yield (
                f"{len(self.under_other_rules)} archives have another digest under the rules of "
                "today; they can be opened and have their size"
            )
        if self.without_platform:
            yield (
                f"the digests of {len(self.without_platform)} archives were not compared: their "
                "platforms have no definition any more"
            )


def _known_keys() -> list[str]:
    try:
        return list(installation_cipher().keys)
    except CipherError:
        return []


def _one_by_one(rows: QuerySet[Archive]) -> Iterator[Archive]:
    last = 0
    page = rows.order_by("id").select_related("device")
    while batch := list(page.filter(pk__gt=last)[:_AT_ONCE]):
        yield from batch
        last = batch[-1].pk


def _check_again(archive: Archive, others: _Others) -> Finding | None:
    """It may have been re-encrypted or pruned since it was read."""
    row = Archive.objects.select_related("device").filter(pk=archive.pk).first()
    return None if row is None else _check(row, others)


def _check(archive: Archive, others: _Others) -> Finding | None:
    try:
        raw = archive_bytes(archive=archive)
    except (CipherError, zlib.error) as error:
        return _finding(Problem.ARCHIVE_DAMAGED, archive, str(error))
    if len(raw) != archive.size_bytes:
        detail = f"it has {len(raw)} bytes, its row says {archive.size_bytes}"
        return _finding(Problem.ARCHIVE_SIZE, archive, detail)
    if not archive.name:
        _compare_digest(archive, raw, others)
    return None


def _compare_digest(archive: Archive, raw: bytes, others: _Others) -> None:
    try:
        text = normalise(device_platform(archive.device), raw)
    except DeviceError:
        others.without_platform.add(archive.pk)
        return
    digest = hmac.new(redaction_key(), text.encode(), hashlib.sha256).hexdigest()
    if digest != archive.raw_digest:
        others.under_other_rules.add(archive.pk)


def _key_missing(key_id: str, number: int) -> Finding:
    return Finding(
        problem=Problem.KEY_MISSING,
        detail=f"{number} archives need the encryption key '{key_id}', which is not configured",
        count=number,
    )


def _finding(problem: Problem, archive: Archive, detail: str) -> Finding:
    return Finding(
        problem=problem,
        detail=detail,
        hostname=archive.device.hostname,
        snapshot_id=archive.snapshot_id,
        archive_id=archive.pk,
    )
