"""Finding out what a device runs: asked for, done over a session, taken over by somebody.

Nothing here but ``detection_accept`` writes the platform of a device.
"""

from __future__ import annotations

import dataclasses
from datetime import timedelta

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from backups.engine.collector import SessionLimits
from backups.engine.detection import Certainty, Detection
from backups.engine.errors import DeviceError, ErrorCategory
from backups.engine.netmiko_collector.detection import detect
from backups.engine.types import DeviceTarget
from backups.services.host_keys import host_key_offered
from backups.targets import device_target, opened_credential, session_limits
from credentials.models import Credential
from inventory.models import Device
from inventory.resolution import credential_candidates
from inventory.services import device_save
from jobs.models import DetectionState, PlatformDetection
from jobs.services.detection_guard import has_turn, refuse_if_set_aside
from jobs.services.logs import safe_message
from jobs.services.runs import NO_CREDENTIAL
from jobs.services.sessions import database_use, session_failure

#: For so long a detection may wait for a worker, and as long may it run.
EXPIRES_AFTER = timedelta(minutes=10)
#: Deadline of one session, in seconds: two of them fit into EXPIRES_AFTER.
_SESSION_SECONDS = 240.0
#: What an address runs that is in no inventory.
_ANY_PLATFORM = "generic"
_OPEN = [DetectionState.PENDING, DetectionState.RUNNING]
_MESSAGE_LENGTH = 500


class DetectionNotAccepted(Exception):
    """The platform of the device stays as it is; the message says why in one line."""


class _WaitsForOthers(Exception):
    """As many detections try its credential as may."""


def detection_create(*, device: Device, requested_by: User | None = None) -> PlatformDetection:
    """A detection that waits to be run. ``jobs.launch`` makes one and sends for a worker."""
    return PlatformDetection.objects.create(
        device=device, platform_before=device.platform, requested_by=requested_by
    )


def detection_run(*, detection_id: int, credential: Credential | None = None) -> bool:
    """Ask the device of a waiting detection what it is, and record the answer.

    Takes ``credential``, or the first one that fits the device. Device trouble is recorded, not
    raised. A detection that is not waiting any more is left alone. False when it has to wait for
    others that try the same credential: ask again in some seconds.
    """
    secrets: tuple[str, ...] = ()
    try:
        with database_use():
            detection = _claim(detection_id, credential)
    except _WaitsForOthers:
        return False
    if detection is None:
        return True
    try:
        with database_use():
            opened = opened_credential(_usable_credential(detection))
            secrets = opened.secrets()
            target = device_target(device=detection.device)
            limits = _limits(detection.device)
        found = detect(target, opened, limits)
    except Exception as error:  # noqa: BLE001 - recorded: nobody waits for this task
        failure = session_failure(what="platform detection", error=error, detection=detection_id)
        with database_use():
            _record_failure(detection, failure, secrets)
        return True
    with database_use():
        _record(detection, _redacted(found, secrets))
    return True


def address_detect(*, address: str, port: int, credential: Credential) -> Detection:
    """What answers over SSH at an address that is not in the inventory; stores nothing.

    Any host key is taken, as at the first session with a device. Raises DeviceError.
    """
    target = DeviceTarget(
        device_id=0, hostname=address, address=address, port=port, platform=_ANY_PLATFORM
    )
    secrets: tuple[str, ...] = ()
    try:
        with database_use():
            opened = opened_credential(credential)
        secrets = opened.secrets()
        found = detect(target, opened, _limits(Device()))
    except Exception as error:  # noqa: BLE001 - comes out as DeviceError
        failure = session_failure(what="platform detection", error=error, address=address)
        raise DeviceError(failure.category, _line(failure.message, secrets)) from None
    return _redacted(found, secrets)


@transaction.atomic
def detection_accept(*, detection: PlatformDetection, accepted_by: str) -> PlatformDetection:
    """Give the device the platform that was detected, in the name of ``accepted_by``.

    Raises DetectionNotAccepted when nothing was found, when it was accepted before, or when the
    platform of the device was changed since the detection was asked for.
    """
    # One after the other: the device is locked before anything is looked at.
    device = Device.objects.select_for_update(of=("self",), no_key=True).get(pk=detection.device_id)
    detection = PlatformDetection.objects.select_related("device").get(pk=detection.pk)
    _refuse_if_not_acceptable(detection, device)
    device.platform = detection.platform
    try:
        device_save(device=device)
    except ValidationError as error:
        raise DetectionNotAccepted(f"'{device}': {'; '.join(error.messages)}") from error
    detection.device = device
    detection.accepted_by = accepted_by[:200]
    detection.accepted_at = timezone.now()
    detection.save(update_fields=["accepted_by", "accepted_at"])
    return detection


def detections_expire() -> int:
    """End detections that no worker took, or that a worker did not end, in time; gives how many."""
    before = Now() - EXPIRES_AFTER
    waited = PlatformDetection.objects.filter(state=DetectionState.PENDING, requested_at__lt=before)
    ran = PlatformDetection.objects.filter(state=DetectionState.RUNNING, started_at__lt=before)
    ended = waited.update(
        **_failed(
            "no worker took it in time; look whether one serves this zone and whether others "
            "still try its credential, and ask again"
        )
    )
    return ended + ran.update(**_failed("its worker did not end it in time; ask again"))


def _failed(reason: str) -> dict[str, object]:
    return {
        "state": DetectionState.FAILED,
        "error_category": ErrorCategory.WORKER_LOST.value,
        "error_message": reason,
        "finished_at": Now(),
    }


@transaction.atomic
def _claim(detection_id: int, credential: Credential | None) -> PlatformDetection | None:
    """The detection, which runs from now on; None if it waits no more. Raises _WaitsForOthers."""
    rows = PlatformDetection.objects.filter(pk=detection_id, state=DetectionState.PENDING)
    detection = rows.select_related("device__zone").first()
    if detection is None:
        return None
    chosen = credential or _first_candidate(detection.device)
    if chosen is not None and not has_turn(credential=chosen):
        raise _WaitsForOthers
    if not rows.update(state=DetectionState.RUNNING, started_at=Now(), credential=chosen):
        return None
    detection.credential = chosen
    return detection


def first_credential(device: Device) -> Credential:
    """The credential that a run would use first. Raises DeviceError."""
    credential = _first_candidate(device)
    if credential is None:
        raise DeviceError(ErrorCategory.NO_CREDENTIAL, NO_CREDENTIAL)
    return credential


def _first_candidate(device: Device) -> Credential | None:
    candidates = credential_candidates(device_ids=[device.pk])[device.pk]
    return candidates[0].credential if candidates else None


def _usable_credential(detection: PlatformDetection) -> Credential:
    """The one that the claim has chosen. Raises DeviceError when it must not be used."""
    if detection.credential is None:
        raise DeviceError(ErrorCategory.NO_CREDENTIAL, NO_CREDENTIAL)
    refuse_if_set_aside(credential=detection.credential)
    return detection.credential


def _limits(device: Device) -> SessionLimits:
    limits = session_limits(device=device)
    return dataclasses.replace(limits, deadline=min(limits.deadline, _SESSION_SECONDS))


def _redacted(found: Detection, secrets: tuple[str, ...]) -> Detection:
    return dataclasses.replace(
        found,
        evidence=tuple(_line(line, secrets) for line in found.evidence),
        facts={fact: _line(value, secrets) for fact, value in found.facts.items()},
    )


def _line(text: str, secrets: tuple[str, ...]) -> str:
    """``text`` as one line without secrets and without what a terminal would obey."""
    return "".join(one if one.isprintable() else " " for one in safe_message(text, secrets))


def _record(detection: PlatformDetection, found: Detection) -> None:
    _running(detection).update(
        state=DetectionState.DONE,
        certainty=found.certainty.value,
        platform=found.platform or "",
        evidence=list(found.evidence),
        facts={fact.value: value for fact, value in found.facts.items()},
        finished_at=Now(),
    )


def _record_failure(
    detection: PlatformDetection, failure: DeviceError, secrets: tuple[str, ...]
) -> None:
    host_key_offered(detection.device_id, failure)
    _running(detection).update(
        state=DetectionState.FAILED,
        error_category=failure.category.value,
        error_message=_line(failure.message, secrets)[:_MESSAGE_LENGTH],
        finished_at=Now(),
    )


def _running(detection: PlatformDetection) -> QuerySet[PlatformDetection]:
    """The row, unless the reconciler has ended it meanwhile."""
    return PlatformDetection.objects.filter(pk=detection.pk, state=DetectionState.RUNNING)


def _refuse_if_not_acceptable(detection: PlatformDetection, device: Device) -> None:
    if detection.state in _OPEN:
        raise DetectionNotAccepted("this detection has not ended yet")
    if detection.certainty not in {Certainty.CONFIRMED, Certainty.LIKELY}:
        raise DetectionNotAccepted(
            f"the platform of '{device}' was not found out; enter it by hand"
        )
    if detection.accepted_at is not None:
        raise DetectionNotAccepted(f"{detection.accepted_by} has accepted this detection already")
    if device.platform not in {detection.platform_before, detection.platform}:
        raise DetectionNotAccepted(
            f"the platform of '{device}' was changed to '{device.platform}' since this detection "
            "was asked for; detect it again"
        )
