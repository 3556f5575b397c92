"""Outputs that were not trusted: looked at, accepted as they are, or dismissed."""

from __future__ import annotations

import structlog
from django.db import transaction
from django.utils import timezone

from backups.engine.errors import DeviceError
from backups.engine.findings import FoundAttribution, attribution
from backups.engine.normalise import normalise
from backups.engine.pipeline import redacted_attribution
from backups.engine.types import CommandOutput, RedactedConfig
from backups.models import Archive, Snapshot, Suspect, SuspectState
from backups.selectors.archives import archive_bytes
from backups.selectors.stored_state import stored_state
from backups.services.commits import snapshots_commit
from backups.services.redaction import installation_redactor
from backups.services.sessions import device_platform
from backups.services.store import RunLabel, locked_device, snapshot_write, suspects_overtake
from inventory.models import Device
from inventory.platforms.definition import Role

logger = structlog.get_logger(__name__)


class SuspectNotAccepted(Exception):
    """A suspect output cannot be stored or closed; the message says why in one line."""


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
    logger.info(
        "suspect.accepted", suspect=suspect.pk, snapshot=snapshot.pk, accepted_by=accepted_by
    )
    try:
        snapshots_commit(device_id=snapshot.device_id)
    except DeviceError as error:
        logger.warning("git_store.behind", snapshot=snapshot.pk, error=error.message)
    snapshot.refresh_from_db()
    return snapshot


def suspect_dismiss(*, suspect: Suspect, dismissed_by: str) -> None:
    """Close ``suspect`` in the name of ``dismissed_by`` without storing it.

    Its raw copy is kept as long as those of outputs that a later one overtook. Raises
    SuspectNotAccepted when it does not wait for a decision any more.
    """
    with transaction.atomic():
        locked_device(suspect.device_id)
        closed = Suspect.objects.filter(pk=suspect.pk, state=SuspectState.OPEN).update(
            state=SuspectState.DISMISSED,
            dismissed_by=dismissed_by[:200],
            decided_at=timezone.now(),
        )
        suspect.refresh_from_db()
        if not closed:
            raise _decided(suspect)
    logger.info("suspect.dismissed", suspect=suspect.pk, dismissed_by=dismissed_by)


@transaction.atomic
def _accept(suspect_id: int, accepted_by: str) -> Snapshot:
    device = locked_device(Suspect.objects.values_list("device_id", flat=True).get(pk=suspect_id))
    suspect = Suspect.objects.select_related("archive").get(pk=suspect_id)
    stored = stored_state(device=device)
    _refuse_if_decided(suspect, stored.newest)
    raw = archive_bytes(archive=suspect.archive)
    snapshot, _ = snapshot_write(
        device=device,
        config=_redacted(suspect, raw),
        label=RunLabel(run_id=suspect.run_id, job_name=""),
        stored=stored,
        collected_at=suspect.collected_at,
        found=_attribution_of(device, raw),
    )
    Archive.objects.filter(pk=suspect.archive_id).update(snapshot=snapshot)
    suspect.state = SuspectState.ACCEPTED
    suspect.accepted_by = accepted_by[:200]
    suspect.decided_at = timezone.now()
    suspect.snapshot = snapshot
    suspect.save(update_fields=["state", "accepted_by", "decided_at", "snapshot"])
    suspects_overtake(Suspect.objects.filter(device=device, pk__lt=suspect.pk))
    return snapshot


def _refuse_if_decided(suspect: Suspect, newest: Snapshot | None) -> None:
    if suspect.state != SuspectState.OPEN:
        raise _decided(suspect)
    if newest is not None and newest.collected_at > suspect.collected_at:
        raise SuspectNotAccepted(
            "a configuration that was collected later is stored already; this one is out of date"
        )


def _decided(suspect: Suspect) -> SuspectNotAccepted:
    return SuspectNotAccepted(
        "this output does not wait for a decision any more: "
        f"{SuspectState(suspect.state).label.lower()}"
    )


def _redacted(suspect: Suspect, raw: bytes) -> RedactedConfig:
    platform = device_platform(suspect.device)
    text = normalise(platform, raw)
    if not text.strip():
        raise SuspectNotAccepted("the device printed nothing, so there is nothing to store")
    return installation_redactor().redact(platform, text)


def _attribution_of(device: Device, raw: bytes) -> FoundAttribution | None:
    """Who changed the configuration in ``raw`` last; other outputs are not kept."""
    outputs = [CommandOutput(command="", role=Role.RUNNING, payload=raw)]
    found = attribution(device_platform(device), outputs)
    return redacted_attribution(found, installation_redactor())
