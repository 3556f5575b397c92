"""From a collected configuration to an archive row and a snapshot."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from backups.engine.config_path import config_path
from backups.engine.findings import FoundAttribution
from backups.engine.pipeline import BackupOutcome
from backups.engine.types import RedactedConfig
from backups.models import Archive, Snapshot, SnapshotState, Suspect, SuspectState
from backups.selectors.stored_state import StoredState, stored_state
from backups.services import projections
from backups.services.archives import archive_write
from backups.services.host_keys import remember_host_keys
from common.statements import Statement, Update, insert
from inventory.models import Device

_LOCKED_DEVICE = Statement(
    lambda device_id: (
        Device.objects.select_for_update(of=("self",), no_key=True).filter(pk=device_id).order_by()
    ),
    device_id=int,
)
_READ_AGAIN = Update(
    lambda snapshot_id, now, source_digest: (
        Snapshot.objects.filter(pk=snapshot_id),
        {
            "read_count": F("read_count") + 1,
            "last_read_at": now,
            "source_digest": source_digest,
        },
    ),
    snapshot_id=int,
    now=datetime,
    source_digest=str,
)
#: How long facts that did not change are left alone.
FACTS_REFRESH = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLabel:
    """The run that a backup belongs to, as it stands in commits and rows."""

    #: None where the content belongs to no run.
    run_id: int | None
    job_name: str


@transaction.atomic(savepoint=False)
def backup_store(*, device: Device, outcome: BackupOutcome, label: RunLabel) -> Snapshot | None:
    """Write the encrypted raw copy and, for a trusted outcome, the snapshot that goes to Git.

    Gives the snapshot in which the content stands, None for a suspect outcome, which makes a row
    of its own. Equal content makes no snapshot; it makes an archive row only when something that
    redaction hides has changed. The row of the device is locked, so that two runs cannot both
    store a first revision.
    """
    device = locked_device(device.pk)
    remember_host_keys(device=device, outcome=outcome)
    stored = stored_state(device=device, raw_digest=outcome.raw_digest)
    newest = stored.newest
    # Clocks of workers differ; the order of what one device printed must not.
    now = max(timezone.now(), newest.collected_at) if newest else timezone.now()
    if outcome.config is None and outcome.known is None:
        _suspect(_archive(device, outcome, label, now, snapshot=None), outcome.suspicions)
        return None
    _remember_findings(device, outcome, now)
    if stored.may_have_suspects:
        suspects_overtake(Suspect.objects.filter(device=device))
    snapshot, is_new = _snapshot(device, outcome, label, stored, now)
    if is_new or not stored.has_archive:
        _archive(device, outcome, label, now, snapshot=snapshot)
    if not is_new:
        _READ_AGAIN.run(snapshot_id=snapshot.pk, now=now, source_digest=outcome.source_digest)
    return snapshot


def _snapshot(
    device: Device, outcome: BackupOutcome, label: RunLabel, stored: StoredState, now: datetime
) -> tuple[Snapshot, bool]:
    """``snapshot_write`` of a trusted ``outcome``; a known text is redacted only if it is gone."""
    config, known, newest = outcome.config, outcome.known, stored.newest
    if known is not None:
        is_newest = newest is not None and newest.content_sha256 == known.content_sha256
        if newest is not None and is_newest and newest.state != SnapshotState.LOST:
            return newest, False
        config = known.redacted()
    assert config is not None  # neither of them is a suspect outcome
    return snapshot_write(
        device=device,
        config=config,
        label=label,
        stored=stored,
        collected_at=now,
        found=outcome.attribution,
        source_digest=outcome.source_digest,
    )


def snapshot_write(
    *,
    device: Device,
    config: RedactedConfig,
    label: RunLabel,
    stored: StoredState,
    collected_at: datetime,
    found: FoundAttribution | None,
    source_digest: str = "",
) -> tuple[Snapshot, bool]:
    """The snapshot in which the content of ``config`` stands, and whether it is a new one.

    ``stored`` is what there is of ``device``, whose row is locked; ``source_digest`` says how the
    content came about, empty where that is not known.
    """
    text, newest = config.text, stored.newest
    body = text.encode()
    content_sha256 = hashlib.sha256(body).hexdigest()
    if newest is not None and newest.content_sha256 == content_sha256:
        if newest.state == SnapshotState.LOST:
            _bring_back(newest, text)
            projections.update(device=device, snapshot=newest, text=text)
        return newest, False
    snapshot = Snapshot(
        device=device,
        content_sha256=content_sha256,
        source_digest=source_digest,
        pending_text=text,
        path=newest.path if newest else config_path(device.hostname, device.pk),
        size_bytes=len(body),
        line_count=text.count("\n"),
        run_id=label.run_id,
        job_name=label.job_name,
        collected_at=collected_at,
        last_read_at=collected_at,
        changed_by=found.user if found else "",
        changed_at_text=found.time if found else "",
        is_projected=stored.is_projected,
    )
    insert(snapshot)
    if stored.is_projected:
        projections.put(device=device, snapshot=snapshot, text=text)
    else:
        projections.update(device=device, snapshot=snapshot, text=text)
    return snapshot, True


def _bring_back(snapshot: Snapshot, text: str) -> None:
    """Let a snapshot whose text was lost wait for Git again: the device has the same text still."""
    snapshot.state = SnapshotState.PENDING
    snapshot.pending_text = text
    snapshot.commit = snapshot.blob = ""
    snapshot.save(update_fields=["state", "pending_text", "commit", "blob"])


def locked_device(device_id: int) -> Device:
    """The row of a device, for nobody else to write until the end of the transaction.

    Raises Device.DoesNotExist.
    """
    device = _LOCKED_DEVICE.first(device_id=device_id)
    if device is None:
        raise Device.DoesNotExist(f"there is no device with the id {device_id}")
    return device


def suspects_overtake(suspects: QuerySet[Suspect]) -> None:
    """Close those of ``suspects`` that are open: something that came later is trusted."""
    suspects.filter(state=SuspectState.OPEN).update(
        state=SuspectState.OVERTAKEN, decided_at=timezone.now()
    )


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


def _archive(
    device: Device,
    outcome: BackupOutcome,
    label: RunLabel,
    collected_at: datetime,
    *,
    snapshot: Snapshot | None,
) -> Archive:
    return archive_write(
        device=device,
        raw=outcome.raw,
        raw_digest=outcome.raw_digest,
        run_id=label.run_id,
        collected_at=collected_at,
        snapshot=snapshot,
    )


def _suspect(archive: Archive, reasons: Sequence[str]) -> None:
    Suspect.objects.create(
        device=archive.device,
        archive=archive,
        reasons=list(reasons),
        run_id=archive.run_id,
        collected_at=archive.collected_at,
    )
