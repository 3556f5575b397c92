"""A session with one device: what it needs to know, and what it brings."""

from __future__ import annotations

import dataclasses

from django.conf import settings

from backups.engine.cancellation import Cancellation
from backups.engine.collector import NO_GUARD, Collector, LogInGuard
from backups.engine.errors import DeviceError, ErrorCategory
from backups.engine.pipeline import BackupOutcome, BackupRequest, back_up
from backups.selectors.snapshots import snapshot_newest
from backups.services.redaction import installation_redactor, redaction_key
from backups.targets import device_target, session_limits
from credentials.secret import DeviceCredential
from inventory.models import Device
from inventory.platforms import PlatformDefinition, UnknownPlatform, get_platform


def backup_request(
    *,
    device: Device,
    credential: DeviceCredential,
    cancellation: Cancellation | None = None,
    guard: LogInGuard = NO_GUARD,
    changed_by: str = "",
) -> BackupRequest:
    """Everything that the session with ``device`` needs to know. Raises DeviceError.

    ``cancellation`` ends that session early, ``guard`` watches its log-in; ``changed_by`` is who
    has changed the device, as others say.
    """
    platform = device_platform(device)
    limits = session_limits(device=device)
    newest = snapshot_newest(device=device)
    config = settings.NETRAVEN
    return BackupRequest(
        target=device_target(device=device),
        platform=platform,
        credential=credential,
        limits=dataclasses.replace(limits, cancellation=cancellation or Cancellation()),
        previous_size=newest.size_bytes if newest else None,
        minimum_share=config.minimum_size_share,
        previous_sha256=newest.content_sha256 if newest else None,
        previous_source=newest.source_digest if newest else "",
        guard=guard,
        changed_by=changed_by,
    )


def device_platform(device: Device) -> PlatformDefinition:
    """How the platform of ``device`` is read.

    Raises DeviceError with category UNKNOWN_PLATFORM where no definition has its name any more.
    """
    try:
        return get_platform(device.platform)
    except UnknownPlatform as error:
        raise DeviceError(ErrorCategory.UNKNOWN_PLATFORM, str(error)) from error


def backup_collect(*, request: BackupRequest, collector: Collector) -> BackupOutcome:
    """Talk to the device. Touches no database. Raises DeviceError."""
    return back_up(
        request,
        collector=collector,
        redactor=installation_redactor(),
        digest_key=redaction_key(),
    )
