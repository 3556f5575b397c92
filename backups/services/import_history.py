"""Taking over the history that Oxidized or RANCID kept in Git."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

from django.db import transaction
from django.db.models.functions import Lower
from django.utils import timezone

from backups.engine.config_path import config_path
from backups.engine.errors import DeviceError
from backups.engine.foreign_history import FileVersion, ForeignHistory, hostname_of
from backups.engine.normalise import normalise
from backups.engine.pipeline import raw_digest
from backups.engine.types import RedactedConfig
from backups.models import Snapshot
from backups.services.archives import archive_write
from backups.services.commits import snapshots_commit
from backups.services.redaction import installation_redactor, redaction_key
from backups.services.sessions import device_platform
from backups.services.store import locked_device
from inventory.models import Device
from inventory.platforms import PlatformDefinition

_AUTHOR_LENGTH = 100
_REVISIONS_AT_ONCE = 50
#: The end of the year 9999, which is as far as dates go.
_LATEST_SECONDS = 253_402_300_799


@dataclass(slots=True, kw_only=True)
class ImportedFile:
    """What became of the history of one file."""

    path: str
    hostname: str
    versions: int
    #: Snapshots made now, or that would be made.
    stored: int = 0
    #: Stored by an earlier import.
    known: int = 0
    #: Equal to the version before once volatile lines and secrets are gone.
    unchanged: int = 0
    #: As new as our own first revision, or newer.
    overtaken: int = 0
    #: Empty, larger than a configuration can be, or not to be redacted with certainty.
    unusable: int = 0
    #: Why nothing of the file is taken over, or is not in Git yet; empty when all is well.
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Revision:
    """A version that is to become a snapshot."""

    config: RedactedConfig
    sha256: str
    raw: bytes
    raw_digest: str
    author: str
    collected_at: datetime


def history_import(
    *,
    history: ForeignHistory,
    source: str,
    hostnames: Mapping[str, str],
    dry_run: bool = False,
) -> Iterator[ImportedFile]:
    """Make a snapshot of each version of each file that belongs to a device, file by file.

    ``source`` names the repository in the rows, ``hostnames`` gives the device of those files that
    are not named like one. Versions are redacted as the device's platform says; their raw bytes
    go into the archive. May be repeated: what is stored already is left alone. Raises NoHistory.
    """
    versions = history.versions()
    names = {path: hostnames.get(path, hostname_of(path)) for path in versions}
    devices = _devices(names.values())
    for path in sorted(versions):
        done = ImportedFile(path=path, hostname=names[path], versions=len(versions[path]))
        device = devices.pop(names[path].lower(), None)
        if device is None:
            done.problem = "no device has this name, or another file was taken for it"
        else:
            done.hostname = device.hostname
            _import_file(history, device, versions[path], source, done, dry_run=dry_run)
        yield done


def _devices(names: Iterable[str]) -> dict[str, Device]:
    """The devices of these names by their names in lower case."""
    wanted = {name.lower() for name in names}
    rows = Device.objects.annotate(lower_name=Lower("hostname")).filter(lower_name__in=wanted)
    return {device.hostname.lower(): device for device in rows}


def _import_file(
    history: ForeignHistory,
    device: Device,
    versions: Sequence[FileVersion],
    source: str,
    done: ImportedFile,
    *,
    dry_run: bool,
) -> None:
    try:
        platform = device_platform(device)
    except DeviceError as error:
        done.problem = error.message
        return
    revisions = _revisions(history, platform, versions, done)
    while batch := list(islice(revisions, _REVISIONS_AT_ONCE)):
        new = _unknown(device, source, batch, done)
        done.stored += len(new)
        if dry_run or not new:
            continue
        _store(device, source, new)
        try:
            snapshots_commit(device_id=device.pk)
        except DeviceError as error:
            done.problem = f"stored, but not in Git yet: {error.message}"


def _revisions(
    history: ForeignHistory,
    platform: PlatformDefinition,
    versions: Sequence[FileVersion],
    done: ImportedFile,
) -> Iterator[_Revision]:
    """Each version that differs from the one before in what would be stored, oldest first."""
    previous = ""
    # Dates of authors may go back; what came later in the history must not come earlier here.
    latest = datetime.fromtimestamp(0, UTC)
    for version, raw in history.contents(versions):
        config = None if raw is None else _redacted(platform, raw)
        if raw is None or config is None:
            done.unusable += 1
            continue
        sha256 = hashlib.sha256(config.text.encode()).hexdigest()
        if sha256 == previous:
            done.unchanged += 1
            continue
        previous = sha256
        authored_at = _time(version.authored_at)
        # A clock that was ahead says nothing, and what it says is to be the same at each import.
        if authored_at <= timezone.now():
            latest = max(latest, authored_at)
        yield _Revision(
            config=config,
            sha256=sha256,
            raw=raw,
            raw_digest=raw_digest(redaction_key(), normalise(platform, raw)),
            author=installation_redactor().redact_message(version.author_name)[:_AUTHOR_LENGTH],
            collected_at=latest,
        )


def _redacted(platform: PlatformDefinition, raw: bytes) -> RedactedConfig | None:
    """What would be stored of a version; None for one that is empty or cannot be redacted."""
    text = normalise(platform, raw)
    if not text.strip():
        return None
    try:
        return installation_redactor().redact(platform, text)
    except DeviceError:
        return None


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(min(seconds, _LATEST_SECONDS), UTC)


def _unknown(
    device: Device, source: str, batch: Sequence[_Revision], done: ImportedFile
) -> list[_Revision]:
    """Those of ``batch`` that are not stored yet and older than all that is our own."""
    snapshots = Snapshot.objects.filter(device=device)
    known = set(
        snapshots.filter(imported_from=source).values_list("collected_at", "content_sha256")
    )
    own = snapshots.filter(imported_from="").order_by("collected_at", "id").first()
    new = []
    for revision in batch:
        if (revision.collected_at, revision.sha256) in known:
            done.known += 1
        elif own is not None and revision.collected_at >= own.collected_at:
            done.overtaken += 1
        else:
            new.append(revision)
    return new


@transaction.atomic
def _store(device: Device, source: str, revisions: Sequence[_Revision]) -> None:
    device = locked_device(device.pk)
    newest = Snapshot.objects.filter(device=device).order_by("-collected_at", "-id").first()
    path = newest.path if newest else config_path(device.hostname, device.pk)
    for revision in revisions:
        text = revision.config.text
        snapshot = Snapshot.objects.create(
            device=device,
            content_sha256=revision.sha256,
            pending_text=text,
            path=path,
            size_bytes=len(text.encode()),
            line_count=text.count("\n"),
            collected_at=revision.collected_at,
            last_read_at=revision.collected_at,
            changed_by=revision.author,
            imported_from=source,
        )
        archive_write(
            device=device,
            raw=revision.raw,
            raw_digest=revision.raw_digest,
            collected_at=revision.collected_at,
            snapshot=snapshot,
        )
