"""From the rows of a device to what a session with it needs to know."""

from __future__ import annotations

from django.conf import settings

from backups.engine.collector import SessionLimits
from backups.engine.errors import DeviceError, ErrorCategory
from backups.engine.types import DeviceTarget, HostKeyMode, JumpTarget, Transport
from credentials.models import Credential
from credentials.secret import DeviceCredential
from credentials.services import CredentialError, ProviderError, credential_open
from inventory.models import Device, JumpHost
from inventory.selectors import jump_hosts_of


def device_target(*, device: Device) -> DeviceTarget:
    """Where ``device`` is and how it is reached; 5 queries at the most. Raises DeviceError."""
    mode = HostKeyMode(device.zone.host_key_mode) if device.zone else HostKeyMode.TOFU
    jumps = jump_hosts_of(device_ids=[device.pk])[device.pk]
    return DeviceTarget(
        device_id=device.pk,
        hostname=device.hostname,
        address=device.ip_address,
        port=device.port,
        platform=device.platform,
        host_key=device.host_key or None,
        host_key_mode=mode,
        transport=Transport(device.transport),
        legacy_algorithms=device.legacy_algorithms,
        jumps=tuple(_jump_target(jump, mode) for jump in jumps),
    )


def session_limits(*, device: Device) -> SessionLimits:
    """The bounds of a session with ``device``: its own, or those of the installation."""
    config = settings.NETRAVEN
    return SessionLimits(
        connect_timeout=device.connect_timeout_seconds or config.connect_timeout_seconds,
        login_timeout=device.login_timeout_seconds or config.login_timeout_seconds,
        command_timeout=device.command_timeout_seconds or config.command_timeout_seconds,
        deadline=device.deadline_seconds or config.device_deadline_seconds,
        max_output_bytes=config.max_output_bytes,
        allowed_networks=tuple(config.allowed_networks),
    )


def opened_credential(credential: Credential, *, jump_host: str | None = None) -> DeviceCredential:
    """The secrets of ``credential`` for one session, with a device or on the way to one.

    Raises DeviceError.
    """
    where = f"jump host '{jump_host}': " if jump_host else ""
    try:
        return credential_open(credential=credential)
    except ProviderError as error:
        raise DeviceError(ErrorCategory.SECRET_UNAVAILABLE, f"{where}{error}") from error
    except CredentialError as error:
        raise DeviceError(ErrorCategory.CREDENTIAL_FAILURE, f"{where}{error}") from error


def _jump_target(jump: JumpHost, mode: HostKeyMode) -> JumpTarget:
    """``jump`` with its secrets; the zone of the device decides about its host key, too."""
    if not jump.credential.is_active:
        raise DeviceError(
            ErrorCategory.NO_CREDENTIAL,
            f"jump host '{jump.name}': its credential '{jump.credential.name}' is inactive; "
            "activate it, or give the jump host another one",
        )
    credential = opened_credential(jump.credential, jump_host=jump.name)
    return JumpTarget(
        name=jump.name,
        address=jump.ip_address,
        port=jump.port,
        credential=credential,
        credential_id=jump.credential_id,
        host_key=jump.host_key or None,
        legacy_algorithms=jump.legacy_algorithms,
        host_key_mode=_jump_mode(jump, mode),
    )


def _jump_mode(jump: JumpHost, mode: HostKeyMode) -> HostKeyMode:
    """Zones share jump hosts: one that does not check keys must not give away their secrets."""
    return HostKeyMode.TOFU if jump.host_key and mode is HostKeyMode.OFF else mode
