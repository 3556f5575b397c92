"""What a fleet consists of, as data and as a JSON file."""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh

from netraven_site.demo.simulator.configs.sizing import MINIMUM_LINES
from netraven_site.demo.simulator.dialects import DIALECTS
from netraven_site.demo.simulator.errors import SimulatorError
from netraven_site.demo.simulator.faults import Fault, parse_fault


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSpec:
    """One device.

    Attributes:
        hostname: unique in the fleet; also stands in prompt and configuration.
        platform: a key of `DIALECTS`.
        username: the only user that may log in.
        password: its password.
        enable_secret: password of the privileged mode; None means that the log-in ends in it
            (on Linux: that `sudo` asks for no password).
        authorized_key: one OpenSSH public-key line that may log in as well, or None.
        address: loopback address to listen on.
        port: TCP port; 0 lets the kernel pick one.
        lines: length of the configuration, at least 300.
        seed: the site; devices of one seed share communities and server keys.
        fault: what is wrong from the start, or None.
    """

    hostname: str
    platform: str
    username: str
    password: str = field(repr=False)
    enable_secret: str | None = field(default=None, repr=False)
    authorized_key: str | None = field(default=None, repr=False)
    address: str = "127.0.0.1"
    port: int = 0
    lines: int = 400
    seed: str = "site"
    fault: Fault | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            SimulatorError: unknown platform, too few lines, an empty name, or no public key.
        """
        if not self.hostname or not self.username:
            raise SimulatorError("a device needs a hostname and a username")
        if self.platform not in DIALECTS:
            raise SimulatorError(
                f"{self.hostname}: unknown platform {self.platform!r};"
                f" use one of: {', '.join(sorted(DIALECTS))}"
            )
        if self.lines < MINIMUM_LINES:
            raise SimulatorError(f"{self.hostname}: 'lines' has to be at least {MINIMUM_LINES}")
        self._check_key()

    def _check_key(self) -> None:
        try:
            if self.authorized_key is not None:
                asyncssh.import_public_key(self.authorized_key)
        except asyncssh.KeyImportError:
            raise SimulatorError(
                f"{self.hostname}: 'authorized_key' is no OpenSSH public key"
            ) from None


@dataclass(frozen=True, slots=True)
class FleetSpec:
    """All devices, and where their host keys are kept (None: new keys at each start)."""

    devices: tuple[DeviceSpec, ...]
    host_key_file: Path | None = None


def read_fleet_spec(path: Path) -> FleetSpec:
    """The fleet in a JSON file.

    Raises:
        SimulatorError: the file cannot be read, others may read it (it holds passwords), or its
            content is not a fleet. The message holds no value of the file but names.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise SimulatorError(f"{path} holds passwords: chmod 600 it (it is {mode:o})")
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SimulatorError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise SimulatorError(f"{path} is not JSON") from error
    if not isinstance(document, dict) or not isinstance(document.get("devices"), list):
        raise SimulatorError(f"{path} needs an object with the list 'devices'")
    key_file = document.get("host_key_file")
    devices = tuple(_device_from(entry) for entry in document["devices"])
    return FleetSpec(devices, Path(key_file) if key_file else None)


def fleet_document(
    devices: Sequence[DeviceSpec], host_key_file: Path | None = None
) -> dict[str, object]:
    """The inverse of `read_fleet_spec`: an object for JSON, with passwords."""
    return {
        "host_key_file": str(host_key_file) if host_key_file else None,
        "devices": [_entry_from(device) for device in devices],
    }


_REQUIRED = ("hostname", "platform", "username", "password")
_TEXTS = ("enable_secret", "authorized_key", "address", "seed")
_NUMBERS = ("port", "lines")
_FIELDS = (*_REQUIRED, *_TEXTS, *_NUMBERS)


def _entry_from(device: DeviceSpec) -> dict[str, object]:
    entry: dict[str, object] = {name: getattr(device, name) for name in _FIELDS}
    if device.fault is not None:
        entry["fault"] = {"kind": device.fault.kind.value, "value": device.fault.value or None}
    return entry


def _device_from(entry: object) -> DeviceSpec:
    if not isinstance(entry, dict):
        raise SimulatorError("every device has to be an object")
    name = entry.get("hostname", "a device")
    if unknown := set(entry) - {*_FIELDS, "fault"}:
        raise SimulatorError(f"{name}: unknown field '{min(unknown)}'")
    required: dict[str, Any] = {key: _text(name, key, entry) for key in _REQUIRED}
    texts = {key: _text(name, key, entry) for key in _TEXTS if entry.get(key) is not None}
    numbers = {key: _number(name, key, entry) for key in _NUMBERS if entry.get(key) is not None}
    optional: dict[str, Any] = {**texts, **numbers}
    return DeviceSpec(**required, **optional, fault=_fault(name, entry.get("fault")))


def _text(device: object, key: str, entry: Mapping[str, object]) -> str:
    value = entry.get(key)
    if not isinstance(value, str):
        raise SimulatorError(f"{device}: '{key}' has to be a text")
    return value


def _number(device: object, key: str, entry: Mapping[str, object]) -> int:
    value = entry[key]
    if not isinstance(value, int) or isinstance(value, bool):
        raise SimulatorError(f"{device}: '{key}' has to be a whole number")
    return value


def _fault(device: object, value: object) -> Fault | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise SimulatorError(f"{device}: 'fault' has to be an object with 'kind' and 'value'")
    return parse_fault(value.get("kind"), value.get("value"))
