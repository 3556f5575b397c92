"""The host keys that sessions show: the first one is kept, another one waits for a decision."""

from __future__ import annotations

from backups.engine.errors import DeviceError, HostKeyRefused
from backups.engine.pipeline import BackupOutcome
from inventory.host_keys import fingerprint
from inventory.models import Device, JumpHost


def host_key_offered(device_id: int, error: DeviceError) -> None:
    """Keep the host key that ``error`` refused, if it did, until somebody decides about it."""
    if not isinstance(error, HostKeyRefused):
        return
    if error.jump_host is None:
        Device.objects.filter(pk=device_id).update(offered_host_key=error.shown)
    else:
        JumpHost.objects.filter(name=error.jump_host).update(offered_host_key=error.shown)


def remember_host_keys(*, device: Device, outcome: BackupOutcome) -> None:
    """Keep first keys. A known key that is shown again leaves nothing to decide about.

    ``device`` is its locked row.
    Raises HostKeyRefused where another first session kept another key meanwhile: one of the two
    has not talked to the device.
    """
    if outcome.host_key:
        _refuse_second_first_key(device.host_key, outcome.host_key, jump_host=None)
        if not device.host_key or device.offered_host_key:
            Device.objects.filter(pk=device.pk).update(
                host_key=outcome.host_key, offered_host_key=""
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
