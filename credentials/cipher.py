"""Encryption of secrets and archives at rest: AES-256-GCM under a list of named keys.

The only importer of ``cryptography``. A sealed value is

    version (1 byte) | length of key id (1 byte) | key id | nonce (12 bytes) | ciphertext and tag

so every value says which key it needs, and keys can be rotated value by value. The *context* given
to ``seal`` is authenticated but not stored: a value that is moved to another row or column cannot
be opened there.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_VERSION = 1
_KEY_BYTES = 32
#: NIST SP 800-38D section 5.2.1.1 recommends 96-bit nonces.
_NONCE_BYTES = 12
_KEY_ID = re.compile(r"[A-Za-z0-9_.-]{1,32}")
_FINGERPRINT_TEXT = b"NetRaven: fingerprint of an installation key"
_FINGERPRINT_BYTES = 16
#: RFC 7914; 64 MiB of memory for each guess.
_SCRYPT = {"n": 2**16, "r": 8, "p": 1}
_SCRYPT_MEMORY = 2 * 64 * 1024 * 1024
_SALT_BYTES = 16
_SHORTEST_PASSPHRASE = 16


class CipherError(Exception):
    """A value could not be opened, or the keys are unusable. The message holds no secret."""


class UnknownKeyError(CipherError):
    """A value was sealed under a key that is not configured.

    ``key_id`` names it.
    """

    def __init__(self, key_id: str) -> None:
        super().__init__(
            f"encryption key '{key_id}' is not configured; add it to NETRAVEN_ENCRYPTION_KEYS"
        )
        self.key_id = key_id


@dataclass(frozen=True, slots=True)
class Cipher:
    """Seals with the first key, opens with any of them.

    ``keys`` maps key ids to 32 bytes; the first entry is the one that new values are sealed with.
    """

    keys: dict[str, bytes] = field(repr=False)

    def __post_init__(self) -> None:
        if not self.keys:
            raise CipherError("there is no encryption key")
        for key_id, key in self.keys.items():
            if not _KEY_ID.fullmatch(key_id):
                raise CipherError("a key id has 1 to 32 letters, digits, '.', '_' or '-'")
            if len(key) != _KEY_BYTES:
                raise CipherError(f"encryption key '{key_id}' must have {_KEY_BYTES} bytes")

    @property
    def current_key_id(self) -> str:
        """Id of the key that new values are sealed with."""
        return next(iter(self.keys))

    def seal(self, plaintext: bytes, *, context: str) -> bytes:
        """Encrypt ``plaintext``; only ``open`` with the same ``context`` gives it back."""
        key_id = self.current_key_id
        nonce = os.urandom(_NONCE_BYTES)
        encoded_id = key_id.encode()
        header = bytes([_VERSION, len(encoded_id)]) + encoded_id
        sealed = AESGCM(self.keys[key_id]).encrypt(nonce, plaintext, header + context.encode())
        return header + nonce + sealed

    def open(self, sealed: bytes, *, context: str) -> bytes:
        """Decrypt what ``seal`` made.

        Raises UnknownKeyError when its key is not configured and CipherError when the value is
        damaged or belongs to another context.
        """
        key_id = sealed_key_id(sealed)
        key = self.keys.get(key_id)
        if key is None:
            raise UnknownKeyError(key_id)
        start = 2 + len(key_id)
        header, nonce = sealed[:start], sealed[start : start + _NONCE_BYTES]
        try:
            return AESGCM(key).decrypt(
                nonce, sealed[start + _NONCE_BYTES :], header + context.encode()
            )
        except (InvalidTag, ValueError) as error:
            raise CipherError(
                "an encrypted value is damaged or was moved from another row"
            ) from error


def sealed_key_id(sealed: bytes) -> str:
    """Id of the key that ``sealed`` needs. Raises CipherError when it is no sealed value."""
    if len(sealed) < 2 or sealed[0] != _VERSION or len(sealed) < 2 + sealed[1] + _NONCE_BYTES:
        raise CipherError("this is not a value that NetRaven encrypted")
    try:
        return sealed[2 : 2 + sealed[1]].decode("ascii")
    except UnicodeDecodeError as error:
        raise CipherError("this is not a value that NetRaven encrypted") from error


def is_key_id(text: str) -> bool:
    """Whether a key may have this id; what a damaged value says mostly is none."""
    return _KEY_ID.fullmatch(text) is not None


def parse_keys(text: str) -> dict[str, bytes]:
    """Keys from ``"id:base64,id:base64"``, the current one first.

    Raises CipherError that names the entry by its place, never by its value.
    """
    keys: dict[str, bytes] = {}
    for place, entry in enumerate(text.split(","), start=1):
        key_id, separator, encoded = entry.strip().partition(":")
        if not separator or not _KEY_ID.fullmatch(key_id):
            raise CipherError(f"entry {place} of the encryption keys is not 'id:base64'")
        if key_id in keys:
            raise CipherError(f"the encryption key id '{key_id}' stands twice")
        keys[key_id] = _decode_key(key_id, encoded)
    return keys


def generate_key(key_id: str) -> str:
    """A new random key as an entry for ``parse_keys``."""
    return f"{key_id}:{base64.b64encode(os.urandom(_KEY_BYTES)).decode()}"


def key_fingerprint(key: bytes) -> str:
    """What tells ``key`` from others without telling the key: 32 hex digits.

    HMAC-SHA256 of a fixed text, cut to 128 bits. Who holds it can test guesses of a weak key.
    """
    return hmac.digest(key, _FINGERPRINT_TEXT, hashlib.sha256)[:_FINGERPRINT_BYTES].hex()


def cipher_of_one_value() -> tuple[Cipher, bytes]:
    """A cipher with a new random key for something that is sealed in pieces, and that key."""
    key = os.urandom(_KEY_BYTES)
    return cipher_from_key(key), key


def cipher_from_key(key: bytes) -> Cipher:
    """The cipher of what ``cipher_of_one_value`` gave ``key`` for. Raises CipherError."""
    return Cipher({"piece": key})


def new_salt() -> bytes:
    """What makes the same passphrase another key each time."""
    return os.urandom(_SALT_BYTES)


def cipher_from_passphrase(passphrase: str, salt: bytes) -> Cipher:
    """The cipher whose key scrypt makes of ``passphrase``; takes a quarter of a second.

    Raises CipherError for a passphrase that is too short to keep guesses away.
    """
    if len(passphrase) < _SHORTEST_PASSPHRASE:
        raise CipherError(f"a passphrase has at least {_SHORTEST_PASSPHRASE} characters")
    key = hashlib.scrypt(
        passphrase.encode(), salt=salt, dklen=_KEY_BYTES, maxmem=_SCRYPT_MEMORY, **_SCRYPT
    )
    return Cipher({"passphrase": key})


def unprotected_key(private_key: str, passphrase: str | None) -> str:
    """A private key in OpenSSH or PEM form without its passphrase, in OpenSSH form.

    ``passphrase`` is None for a key that has none. Raises CipherError when it does not open the key
    or the kind of the key is not known.
    """
    data = private_key.strip().encode() + b"\n"
    password = None if passphrase is None else passphrase.encode()
    is_openssh = b"BEGIN OPENSSH PRIVATE KEY" in data
    load = serialization.load_ssh_private_key if is_openssh else serialization.load_pem_private_key
    try:
        key = load(data, password=password)
        return key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        ).decode("ascii")
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise CipherError("its passphrase does not open its SSH key") from error


def _decode_key(key_id: str, encoded: str) -> bytes:
    try:
        key = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise CipherError(f"encryption key '{key_id}' is not valid base64") from error
    if len(key) != _KEY_BYTES:
        raise CipherError(
            f"encryption key '{key_id}' has {len(key)} bytes, it must have {_KEY_BYTES}"
        )
    return key
