"""Private keys of credentials."""

from __future__ import annotations

import io

import paramiko

from backups.engine.errors import DeviceError, ErrorCategory
from credentials.cipher import CipherError, unprotected_key

_TYPES: tuple[type[paramiko.PKey], ...] = (
    paramiko.Ed25519Key,
    paramiko.ECDSAKey,
    paramiko.RSAKey,
)


def private_key(text: str, passphrase: str | None) -> paramiko.PKey:
    """The RSA, ECDSA or Ed25519 key in ``text`` (OpenSSH or PEM). Raises DeviceError."""
    key = _loaded(text, passphrase) or _converted(text, passphrase)
    if key is None:
        raise DeviceError(
            ErrorCategory.CREDENTIAL_FAILURE,
            "the SSH key of the credential cannot be read; check its format and passphrase",
        )
    return key


def _loaded(text: str, passphrase: str | None) -> paramiko.PKey | None:
    for key_type in _TYPES:
        try:
            return key_type.from_private_key(io.StringIO(text), password=passphrase)
        except (paramiko.SSHException, ValueError):
            continue
    return None


def _converted(text: str, passphrase: str | None) -> paramiko.PKey | None:
    """A key in PKCS#8, as OpenSSL 3 writes it: Paramiko does not know that form."""
    try:
        return _loaded(unprotected_key(text, passphrase), None)
    except CipherError:
        return None
