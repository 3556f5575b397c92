"""Host keys of the simulated devices, in memory or in a file."""

from __future__ import annotations

import json
import os
from pathlib import Path

import asyncssh

from netraven_site.demo.simulator.errors import SimulatorError


class HostKeys:
    """One Ed25519 key per hostname.

    Args:
        path: a file (JSON: hostname to private key, mode 0600) in which keys outlive a restart,
            or None for keys that live as long as this object.

    Raises:
        SimulatorError: the file exists but cannot be used.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._keys: dict[str, asyncssh.SSHKey] = {}
        if path is not None and path.exists():
            self._keys = _load(path)

    def key_of(self, hostname: str) -> asyncssh.SSHKey:
        """The key of a device; a new one is made when it has none."""
        if hostname not in self._keys:
            self._keys[hostname] = new_host_key()
        return self._keys[hostname]

    def save(self) -> None:
        """Write the file, when there is one."""
        if self._path is None:
            return
        document = {
            name: key.export_private_key().decode("ascii") for name, key in self._keys.items()
        }
        temporary = self._path.with_name(self._path.name + ".new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(document, file)
        temporary.replace(self._path)


def new_host_key() -> asyncssh.SSHKey:
    """A fresh Ed25519 key."""
    return asyncssh.generate_private_key("ssh-ed25519")


def _load(path: Path) -> dict[str, asyncssh.SSHKey]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return {name: asyncssh.import_private_key(text) for name, text in document.items()}
    except (OSError, ValueError, AttributeError, asyncssh.KeyImportError) as error:
        raise SimulatorError(f"{path} holds no host keys: delete it to get new ones") from error
