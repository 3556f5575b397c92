"""Signatures of commits by an SSH key, made by OpenSSH itself.

The format is that of gitformat-signature(5) with ``gpg.format=ssh``: ``git verify-commit`` checks
it against a file of allowed signers (ssh-keygen(1), ALLOWED SIGNERS).
"""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

from backups.engine.errors import DeviceError
from backups.engine.git.failures import store_failure

_TIMEOUT_SECONDS = 10.0
_HEADER = "-----BEGIN SSH SIGNATURE-----"


class SshSigner:
    """Signs with the private key in ``key_file``, which must need no passphrase."""

    def __init__(self, key_file: Path) -> None:
        self._key_file = key_file

    def __call__(self, payload: bytes) -> str:
        """Return the armoured signature of ``payload``. Raises DeviceError."""
        command = ["ssh-keygen", "-Y", "sign", "-q", "-n", "git", "-f", str(self._key_file)]
        try:
            done = subprocess.run(
                command,
                input=payload,
                capture_output=True,
                timeout=_TIMEOUT_SECONDS,
                check=False,
                start_new_session=True,  # no terminal to ask for a passphrase
            )
        except FileNotFoundError as error:
            raise store_failure("The program 'ssh-keygen' is missing: install OpenSSH.") from error
        except subprocess.TimeoutExpired as error:
            raise store_failure(
                f"Signing with {self._key_file} takes longer than 10 s: the key must need no "
                "passphrase and no touch."
            ) from error
        signature = done.stdout.decode("ascii", "replace")
        if done.returncode != 0 or not signature.startswith(_HEADER):
            reason = " ".join(done.stderr.decode("utf-8", "replace").split())[:200]
            raise store_failure(
                f"Commits cannot be signed with {self._key_file} ({reason}): give NetRaven an SSH "
                "private key without a passphrase in NETRAVEN_GIT_SIGNING_KEY."
            )
        return signature


def check_signing_key(key_file: Path) -> None:
    """Make sure that ``key_file`` is private and can sign. Raises ValueError that says what not."""
    try:
        mode = key_file.stat().st_mode
    except OSError as error:
        raise ValueError(f"the file cannot be read ({error.strerror})") from error
    if not stat.S_ISREG(mode):
        raise ValueError("it must be a file with an SSH private key")
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ValueError("nobody but its owner may have access to the file: chmod 600")
    try:
        SshSigner(key_file)(b"NetRaven can sign with this key.")
    except DeviceError as error:
        raise ValueError(error.message) from error
