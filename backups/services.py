"""From a collected configuration to an archive row, a snapshot and a commit."""

from __future__ import annotations

import functools
import hashlib
import zlib
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from backups.engine.collector import SessionLimits
from backups.engine.config_path import config_path
from backups.engine.errors import DeviceError, ErrorCategory
from backups.engine.netmiko_collector import NetmikoCollector
from backups.engine.pipeline import BackupOutcome, BackupRequest, back_up
from backups.engine.redaction import Redactor, redacted_from_store
from backups.engine.types import CommitRequest, DeviceTarget
from backups.models import Archive, ArchiveReading, Snapshot, SnapshotState
from backups.selectors import archive_bytes, archive_context, git_store, snapshot_newest
from credentials.cipher import sealed_key_id
from credentials.secret import DeviceCredential
from credentials.services import installation_cipher
from inventory.models import Device
from inventory.platforms import UnknownPlatform, get_platform


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLabel:
    """The run that a backup belongs to, as it stands in commits and rows."""

    run_id: int
    job_name: str


@functools.cache
def installation_redactor() -> Redactor:
    """The redactor under the key and keywords of this installation."""
    return Redactor(_redaction_key(), settings.NETRAVEN.redaction_keywords)


def _redaction_key() -> bytes:
    return settings.NETRAVEN.key("redaction_key").encode()


def backup_request(*, device: Device, credential: DeviceCredential) -> BackupRequest:
    """Everything that the session with ``device`` needs to know. Raises DeviceError."""
    try:
        platform = get_platform(device.platform)
    except UnknownPlatform as error:
        raise DeviceError(ErrorCategory.UNKNOWN_PLATFORM, str(error)) from error
    newest = snapshot_newest(device=device)
    config = settings.NETRAVEN
    return BackupRequest(
        target=DeviceTarget(
            device_id=device.pk,
            hostname=device.hostname,
            address=device.ip_address,
            port=device.port,
            platform=device.platform,
            host_key=device.host_key or None,
        ),
        platform=platform,
        credential=credential,
        limits=SessionLimits(
            connect_timeout=config.connect_timeout_seconds,
            login_timeout=config.login_timeout_seconds,
            command_timeout=config.command_timeout_seconds,
            deadline=config.device_deadline_seconds,
            max_output_bytes=config.max_output_bytes,
            allowed_networks=tuple(config.allowed_networks),
        ),
        previous_size=newest.size_bytes if newest else None,
        minimum_share=config.minimum_size_share,
    )


def backup_collect(*, request: BackupRequest) -> BackupOutcome:
    """Talk to the device. Touches no database. Raises DeviceError."""
    return back_up(
        request,
        collector=NetmikoCollector(),
        redactor=installation_redactor(),
        digest_key=_redaction_key(),
    )


@transaction.atomic(savepoint=False)
def backup_store(*, device: Device, outcome: BackupOutcome, label: RunLabel) -> Snapshot | None:
    """Write the encrypted raw copy and, for a trusted outcome, the snapshot that goes to Git.

    Gives the snapshot in which the content stands, None for a suspect outcome. Equal content makes
    no snapshot; it makes an archive row only when something that redaction hides has changed. The
    row of the device is locked, so that two runs cannot both store a first revision.
    """
    device = Device.objects.select_for_update(of=("self",), no_key=True).get(pk=device.pk)
    _remember_host_key(device, outcome.host_key)
    if outcome.config is None:
        _archive(device, outcome, label, snapshot=None)
        return None
    newest = snapshot_newest(device=device)
    content_sha256 = hashlib.sha256(outcome.config.text.encode()).hexdigest()
    if newest is not None and newest.content_sha256 == content_sha256:
        if not newest.archives.filter(raw_digest=outcome.raw_digest).exists():
            _archive(device, outcome, label, snapshot=newest)
        return newest
    text = outcome.config.text
    snapshot = Snapshot.objects.create(
        device=device,
        content_sha256=content_sha256,
        pending_text=text,
        path=newest.path if newest else config_path(device.hostname, device.pk),
        size_bytes=len(text.encode()),
        line_count=text.count("\n"),
        run_id=label.run_id,
        job_name=label.job_name,
        collected_at=timezone.now(),
    )
    _archive(device, outcome, label, snapshot=snapshot)
    return snapshot


@transaction.atomic(savepoint=False)
def snapshots_commit(*, device_id: int) -> None:
    """Bring the pending snapshots of one device into Git, oldest first.

    Raises DeviceError when Git cannot be written; the snapshots then stay pending and lose
    nothing. Safe to run twice and in many processes: the device's row is locked.
    """
    device = Device.objects.select_for_update(of=("self",), no_key=True).get(pk=device_id)
    pending = Snapshot.objects.filter(device=device, state=SnapshotState.PENDING).order_by("id")
    for snapshot in pending:
        _commit(device, snapshot)


def devices_with_pending_snapshots(*, older_than_seconds: float, limit: int) -> list[int]:
    """Ids of devices with a snapshot that has waited for Git for so long, oldest first."""
    before = timezone.now() - timedelta(seconds=older_than_seconds)
    rows = Snapshot.objects.filter(state=SnapshotState.PENDING, collected_at__lt=before)
    return list(dict.fromkeys(rows.order_by("id").values_list("device_id", flat=True)[:limit]))


def configs_push() -> str | None:
    """Push the repository to the configured remote; None when done, else what is wrong."""
    remote = settings.NETRAVEN.git_remote
    if remote is None:
        return None
    try:
        git_store().push(remote)
    except DeviceError as error:
        return error.message
    return None


def archive_read(*, archive: Archive, reader: str, reason: str) -> bytes:
    """The raw bytes of ``archive``, after writing down who reads them and why.

    Raises ValueError for an empty reason and CipherError when the bytes cannot be opened.
    """
    if not reason.strip():
        raise ValueError("reading a raw configuration needs a reason")
    ArchiveReading.objects.create(archive=archive, reader=reader[:200], reason=reason.strip()[:500])
    return archive_bytes(archive=archive)


def _remember_host_key(device: Device, host_key: str | None) -> None:
    if host_key and not device.host_key:
        Device.objects.filter(pk=device.pk, host_key="").update(host_key=host_key)


def _archive(
    device: Device, outcome: BackupOutcome, label: RunLabel, *, snapshot: Snapshot | None
) -> None:
    archive = Archive(
        device=device,
        snapshot=snapshot,
        size_bytes=len(outcome.raw),
        raw_digest=outcome.raw_digest,
        run_id=label.run_id,
        collected_at=timezone.now(),
    )
    archive.sealed = installation_cipher().seal(
        zlib.compress(outcome.raw), context=archive_context(archive)
    )
    archive.key_id = sealed_key_id(archive.sealed)
    archive.save()


def _commit(device: Device, snapshot: Snapshot) -> None:
    revision = git_store().save(
        CommitRequest(
            path=snapshot.path,
            config=redacted_from_store(snapshot.pending_text),
            hostname=device.hostname,
            device_id=device.pk,
            run_id=snapshot.run_id,
            job_name=snapshot.job_name,
            collected_at=int(snapshot.collected_at.timestamp()),
        )
    )
    snapshot.state = SnapshotState.COMMITTED
    snapshot.commit = revision.commit
    snapshot.blob = revision.blob
    snapshot.lines_added = revision.lines_added
    snapshot.lines_removed = revision.lines_removed
    snapshot.pending_text = ""
    snapshot.save()
