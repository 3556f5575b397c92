"""From a collected configuration to an archive row, a snapshot and a commit."""

from __future__ import annotations

import functools
import hashlib
import logging
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from backups.engine.authors import commit_author
from backups.engine.config_path import config_path
from backups.engine.errors import DeviceError, ErrorCategory
from backups.engine.findings import FoundAttribution, attribution
from backups.engine.netmiko_collector import NetmikoCollector
from backups.engine.netmiko_collector.host_keys import HostKeyRefused
from backups.engine.normalise import normalise
from backups.engine.pipeline import BackupOutcome, BackupRequest, back_up, redacted_attribution
from backups.engine.redaction import Redactor, redacted_from_store
from backups.engine.types import CommandOutput, CommitRequest, RedactedConfig
from backups.models import Archive, ArchiveReading, Snapshot, SnapshotState, Suspect, SuspectState
from backups.selectors import archive_bytes, archive_context, git_store, snapshot_newest
from backups.targets import device_target, session_limits
from credentials.cipher import sealed_key_id
from credentials.secret import DeviceCredential
from credentials.services import installation_cipher
from inventory.host_keys import fingerprint
from inventory.models import Device, JumpHost
from inventory.platforms import PlatformDefinition, UnknownPlatform, get_platform
from inventory.platforms.definition import Role

logger = logging.getLogger(__name__)

#: How long facts that did not change are left alone.
FACTS_REFRESH = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLabel:
    """The run that a backup belongs to, as it stands in commits and rows."""

    #: None where the content belongs to no run.
    run_id: int | None
    job_name: str


class SuspectNotAccepted(Exception):
    """A suspect output cannot be stored; the message says why in one line."""


@functools.cache
def installation_redactor() -> Redactor:
    """The redactor under the key and keywords of this installation."""
    return Redactor(_redaction_key(), settings.NETRAVEN.redaction_keywords)


def _redaction_key() -> bytes:
    return settings.NETRAVEN.key("redaction_key").encode()


def backup_request(*, device: Device, credential: DeviceCredential) -> BackupRequest:
    """Everything that the session with ``device`` needs to know. Raises DeviceError."""
    platform = _platform(device)
    newest = snapshot_newest(device=device)
    config = settings.NETRAVEN
    return BackupRequest(
        target=device_target(device=device),
        platform=platform,
        credential=credential,
        limits=session_limits(device=device),
        previous_size=newest.size_bytes if newest else None,
        minimum_share=config.minimum_size_share,
        previous_sha256=newest.content_sha256 if newest else None,
    )


def _platform(device: Device) -> PlatformDefinition:
    try:
        return get_platform(device.platform)
    except UnknownPlatform as error:
        raise DeviceError(ErrorCategory.UNKNOWN_PLATFORM, str(error)) from error


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

    Gives the snapshot in which the content stands, None for a suspect outcome, which makes a row
    of its own. Equal content makes no snapshot; it makes an archive row only when something that
    redaction hides has changed. The row of the device is locked, so that two runs cannot both
    store a first revision.
    """
    device = _locked_device(device.pk)
    _remember_host_keys(device, outcome)
    now = timezone.now()
    if outcome.config is None:
        archive = _archive(device, outcome, label, now, snapshot=None)
        _suspect(archive, outcome.suspicions)
        return None
    _remember_findings(device, outcome, now)
    _overtake(Suspect.objects.filter(device=device))
    snapshot, is_new = _snapshot(
        device,
        outcome.config,
        label,
        collected_at=now,
        found=outcome.attribution,
    )
    if is_new or not snapshot.archives.filter(raw_digest=outcome.raw_digest).exists():
        _archive(device, outcome, label, now, snapshot=snapshot)
    return snapshot


@transaction.atomic(savepoint=False)
def snapshots_commit(*, device_id: int) -> None:
    """Bring the pending snapshots of one device into Git, oldest first.

    Raises DeviceError when Git cannot be written; the snapshots then stay pending and lose
    nothing. Safe to run twice and in many processes: the device's row is locked.
    """
    device = _locked_device(device_id)
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


def suspect_text(*, suspect: Suspect) -> RedactedConfig:
    """What ``suspect`` would be stored as, redacted now.

    Raises CipherError when the archive cannot be opened, DeviceError when its platform is gone or
    redaction is not sure, SuspectNotAccepted when the device printed nothing.
    """
    return _redacted(suspect, archive_bytes(archive=suspect.archive))


def suspect_accept(*, suspect: Suspect, accepted_by: str) -> Snapshot:
    """Store ``suspect`` as if it had been trusted, in the name of ``accepted_by``.

    Gives the snapshot, which is still pending when Git could not be written; the reconciler brings
    it there. Our own reading of the archive makes no ArchiveReading: nobody sees the raw bytes.
    Raises SuspectNotAccepted, and what ``suspect_text`` raises; nothing is stored then.
    """
    snapshot = _accept(suspect.pk, accepted_by)
    logger.info("suspect %s was accepted by %s", suspect.pk, accepted_by)
    try:
        snapshots_commit(device_id=snapshot.device_id)
    except DeviceError as error:
        logger.warning("suspect %s is accepted and not in Git yet: %s", suspect.pk, error.message)
    snapshot.refresh_from_db()
    return snapshot


@transaction.atomic
def _accept(suspect_id: int, accepted_by: str) -> Snapshot:
    device = _locked_device(Suspect.objects.values_list("device_id", flat=True).get(pk=suspect_id))
    suspect = Suspect.objects.select_related("archive").get(pk=suspect_id)
    _refuse_if_decided(suspect, snapshot_newest(device=device))
    raw = archive_bytes(archive=suspect.archive)
    snapshot, _ = _snapshot(
        device,
        _redacted(suspect, raw),
        RunLabel(run_id=suspect.run_id, job_name=""),
        collected_at=suspect.collected_at,
        found=_attribution_of(device, raw),
    )
    Archive.objects.filter(pk=suspect.archive_id).update(snapshot=snapshot)
    suspect.state = SuspectState.ACCEPTED
    suspect.accepted_by = accepted_by[:200]
    suspect.decided_at = timezone.now()
    suspect.snapshot = snapshot
    suspect.save(update_fields=["state", "accepted_by", "decided_at", "snapshot"])
    _overtake(Suspect.objects.filter(device=device, pk__lt=suspect.pk))
    return snapshot


def _overtake(suspects: QuerySet[Suspect]) -> None:
    """Close those of ``suspects`` that are open: something that came later is trusted."""
    suspects.filter(state=SuspectState.OPEN).update(
        state=SuspectState.OVERTAKEN, decided_at=timezone.now()
    )


def _refuse_if_decided(suspect: Suspect, newest: Snapshot | None) -> None:
    if suspect.state != SuspectState.OPEN:
        raise SuspectNotAccepted(
            f"this output does not wait for a decision any more: "
            f"{SuspectState(suspect.state).label.lower()}"
        )
    if newest is not None and newest.collected_at > suspect.collected_at:
        raise SuspectNotAccepted(
            "a configuration that was collected later is stored already; this one is out of date"
        )


def _redacted(suspect: Suspect, raw: bytes) -> RedactedConfig:
    platform = _platform(suspect.device)
    text = normalise(platform, raw)
    if not text.strip():
        raise SuspectNotAccepted("the device printed nothing, so there is nothing to store")
    return installation_redactor().redact(platform, text)


def _attribution_of(device: Device, raw: bytes) -> FoundAttribution | None:
    """Who changed the configuration in ``raw`` last; other outputs are not kept."""
    outputs = [CommandOutput(command="", role=Role.RUNNING, payload=raw)]
    found = attribution(_platform(device), outputs)
    return redacted_attribution(found, installation_redactor())


def _locked_device(device_id: int) -> Device:
    return Device.objects.select_for_update(of=("self",), no_key=True).get(pk=device_id)


def _remember_findings(device: Device, outcome: BackupOutcome, now: datetime) -> None:
    """Write down what the session found out about the device, if that is anything new.

    Facts that were not found stay as they were. Without a change ``facts_at`` moves once a day,
    so that a backup of an unchanged device writes nothing here.
    """
    found: dict[str, object] = {fact.value: value for fact, value in outcome.facts.items()}
    found["has_unsaved_config"] = outcome.unsaved
    changed = {name: value for name, value in found.items() if getattr(device, name) != value}
    is_old = device.facts_at is None or now - device.facts_at > FACTS_REFRESH
    if outcome.facts and (is_old or changed.keys() - {"has_unsaved_config"}):
        changed["facts_at"] = now
    if changed:
        Device.objects.filter(pk=device.pk).update(**changed)


def _snapshot(
    device: Device,
    config: RedactedConfig,
    label: RunLabel,
    *,
    collected_at: datetime,
    found: FoundAttribution | None,
) -> tuple[Snapshot, bool]:
    """The snapshot in which the content of ``config`` stands, and whether it is a new one."""
    text = config.text
    content_sha256 = hashlib.sha256(text.encode()).hexdigest()
    newest = snapshot_newest(device=device)
    if newest is not None and newest.content_sha256 == content_sha256:
        return newest, False
    snapshot = Snapshot.objects.create(
        device=device,
        content_sha256=content_sha256,
        pending_text=text,
        path=newest.path if newest else config_path(device.hostname, device.pk),
        size_bytes=len(text.encode()),
        line_count=text.count("\n"),
        run_id=label.run_id,
        job_name=label.job_name,
        collected_at=collected_at,
        changed_by=found.user if found else "",
        changed_at_text=found.time if found else "",
    )
    return snapshot, True


def _suspect(archive: Archive, reasons: Sequence[str]) -> None:
    Suspect.objects.create(
        device=archive.device,
        archive=archive,
        reasons=list(reasons),
        run_id=archive.run_id,
        collected_at=archive.collected_at,
    )


def host_key_offered(device_id: int, error: DeviceError) -> None:
    """Keep the host key that ``error`` refused, if it did, until somebody decides about it."""
    if not isinstance(error, HostKeyRefused):
        return
    if error.jump_host is None:
        Device.objects.filter(pk=device_id).update(offered_host_key=error.shown)
    else:
        JumpHost.objects.filter(name=error.jump_host).update(offered_host_key=error.shown)


def _remember_host_keys(device: Device, outcome: BackupOutcome) -> None:
    """Keep first keys. A known key that is shown again leaves nothing to decide about.

    Raises HostKeyRefused where another first session kept another key meanwhile: one of the two
    has not talked to the device.
    """
    if outcome.host_key:
        _refuse_second_first_key(device.host_key, outcome.host_key, jump_host=None)
        rows = Device.objects.filter(pk=device.pk)
        rows.filter(host_key="").update(host_key=outcome.host_key, offered_host_key="")
        rows.filter(host_key=outcome.host_key).exclude(offered_host_key="").update(
            offered_host_key=""
        )
    for name, host_key in outcome.jump_host_keys.items():
        hosts = JumpHost.objects.filter(name=name)
        known = hosts.select_for_update(no_key=True).values_list("host_key", flat=True).first()
        _refuse_second_first_key(known or "", host_key, jump_host=name)
        hosts.filter(host_key="").update(host_key=host_key, offered_host_key="")
        hosts.filter(host_key=host_key).exclude(offered_host_key="").update(offered_host_key="")


def _refuse_second_first_key(known: str, shown: str, *, jump_host: str | None) -> None:
    if known in {"", shown}:
        return
    whose = "the device" if jump_host is None else f"jump host '{jump_host}'"
    raise HostKeyRefused(
        f"{whose} showed host key {fingerprint(shown)}, but meanwhile another session kept "
        f"{fingerprint(known)}; nothing was stored. Compare the fingerprints",
        shown=shown,
        jump_host=jump_host,
    )


def _archive(
    device: Device,
    outcome: BackupOutcome,
    label: RunLabel,
    collected_at: datetime,
    *,
    snapshot: Snapshot | None,
) -> Archive:
    archive = Archive(
        device=device,
        snapshot=snapshot,
        size_bytes=len(outcome.raw),
        raw_digest=outcome.raw_digest,
        run_id=label.run_id,
        collected_at=collected_at,
    )
    archive.sealed = installation_cipher().seal(
        zlib.compress(outcome.raw), context=archive_context(archive)
    )
    archive.key_id = sealed_key_id(archive.sealed)
    archive.save()
    return archive


def _commit(device: Device, snapshot: Snapshot) -> None:
    revision = git_store().save(
        CommitRequest(
            path=snapshot.path,
            config=redacted_from_store(snapshot.pending_text),
            hostname=device.hostname,
            device_id=device.pk,
            run_id=snapshot.run_id,
            job_name=snapshot.job_name,
            author=commit_author(snapshot.changed_by, device.hostname),
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
