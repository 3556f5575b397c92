"""How git reaches a remote over SSH: everything in a private folder that lives for one push.

OpenSSH reads nothing but the configuration in that folder: neither the account's nor the system's.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

from backups.engine.git.remote import PushFailed, PushTarget, RemoteAddress
from credentials.cipher import CipherError, unprotected_key

#: Stands for the remote in the file of known hosts, whatever its name, address and port.
_ALIAS = "netraven-remote"
_CONNECT_SECONDS = 20
_KEYSCAN_SECONDS = 10
#: What is asked for when no key is known, best first.
_KEY_TYPES = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa")
_HOST_KEY = re.compile(r"[a-z0-9@.-]{1,64} [A-Za-z0-9+/]{16,4096}={0,2}")
_SSH_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


class SshWay:
    """The files for one push inside ``folder``, which only its owner may read."""

    def __init__(self, folder: Path, target: PushTarget) -> None:
        self._target = target
        self._known_hosts = folder / "known_hosts"
        self._config = folder / "ssh_config"
        key = _key(target)
        if key is not None:
            _write_private(folder / "key", key)
        known = f"{_ALIAS} {target.host_key}\n" if target.host_key else ""
        _write_private(self._known_hosts, known)
        _write_private(self._config, self._options(folder / "key" if key is not None else None))

    @property
    def url(self) -> str:
        """The address for git, with the user."""
        credential, address = self._target.credential, self._target.address
        user = address.user or (credential.username if credential else None)
        if user is not None and not _SSH_USER.fullmatch(user):
            raise PushFailed(
                "The user name of the credential has characters that no SSH user name has: put "
                "the user into the address of the remote."
            )
        return address.url_for(user)

    @property
    def command(self) -> str:
        """What git is to run as ssh (git(1), GIT_SSH_COMMAND)."""
        return f"ssh -F {shlex.quote(str(self._config))}"

    def shown_key(self) -> str:
        """The host key that the server has shown; "" before it has."""
        known = self._known_hosts.read_text("ascii", "replace").splitlines()
        keys = (line.partition(" ")[2].strip() for line in known)
        return next((key for key in keys if _HOST_KEY.fullmatch(key)), "")

    def _options(self, key: Path | None) -> str:
        lines = [
            "Host *",
            "BatchMode yes",
            f"ConnectTimeout {_CONNECT_SECONDS}",
            "ServerAliveInterval 15",
            "ServerAliveCountMax 4",
            f"HostKeyAlias {_ALIAS}",
            "CheckHostIP no",
            "HashKnownHosts no",
            "UpdateHostKeys no",
            f"UserKnownHostsFile {self._known_hosts}",
            "GlobalKnownHostsFile none",
            f"StrictHostKeyChecking {'yes' if self._target.host_key else 'accept-new'}",
            "ForwardAgent no",
            "ClearAllForwardings yes",
            "ControlPath none",
        ]
        if key is not None:
            lines += [f"IdentityFile {key}", "IdentitiesOnly yes", "IdentityAgent none"]
            lines += ["PreferredAuthentications publickey"]
        return "".join(f"{line}\n" for line in lines)


def offered_key(address: RemoteAddress, known: str) -> str:
    """Ask the server for the host key that it shows now: of the type of ``known`` if it has one.

    Returns "" when it shows none. Nothing is sent that could open anything.
    """
    command = ["ssh-keyscan", "-T", str(_KEYSCAN_SECONDS), "-p", str(address.port or 22)]
    try:
        answer = subprocess.run(
            [*command, "--", address.host],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=2 * _KEYSCAN_SECONDS,
            check=False,
        ).stdout.decode("ascii", "replace")
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = [line.partition(" ")[2].strip() for line in answer.splitlines()]
    keys = {key.partition(" ")[0]: key for key in found if _HOST_KEY.fullmatch(key)}
    wanted = (known.partition(" ")[0], *_KEY_TYPES)
    return next((keys[kind] for kind in wanted if kind in keys), "")


def _key(target: PushTarget) -> str | None:
    """The private key without its passphrase, None where the account's own keys are used."""
    credential = target.credential
    if credential is None:
        return None
    if credential.ssh_key is None:
        raise PushFailed(
            f"Credential '{credential.name}' has no SSH key, and a password is not sent to a Git "
            "remote over SSH: give it a key, or use an https:// address."
        )
    if credential.ssh_key_passphrase is None:
        return credential.ssh_key.strip() + "\n"
    try:
        return unprotected_key(credential.ssh_key, credential.ssh_key_passphrase)
    except CipherError as error:
        raise PushFailed(f"Credential '{credential.name}': {error}.") from error


def _write_private(file: Path, text: str) -> None:
    file.touch(mode=0o600, exist_ok=False)
    file.write_text(text, encoding="utf-8")
