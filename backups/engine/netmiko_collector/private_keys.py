"""Private keys of credentials."""

from __future__ import annotations

import io

import paramiko

from backups.engine.errors import DeviceError, ErrorCategory

_TYPES: tuple[type[paramiko.PKey], ...] = (
    paramiko.Ed25519Key,
    paramiko.ECDSAKey,
    paramiko.RSAKey,
)


def private_key(text: str, passphrase: str | None) -> paramiko.PKey:
    """The RSA, ECDSA or Ed25519 key in ``text`` (OpenSSH or PEM). Raises DeviceError."""
    for key_type in _TYPES:
        try:
            return key_type.from_private_key(io.StringIO(text), password=passphrase)
        except (paramiko.SSHException, ValueError):
            continue
    raise DeviceError(
        ErrorCategory.CREDENTIAL_FAILURE,
        "the SSH key of the credential cannot be read; check its format and passphrase",
    )
