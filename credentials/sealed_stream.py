"""A file of any length, encrypted in pieces: written and read with bounded memory.

    first line | header, one line of JSON | pieces

A piece is its length (4 bytes, big endian) and a value of ``credentials.cipher`` under a key that
only this file has. That key is in the header, sealed under a key of the installation or under one
made of a passphrase. What is authenticated with each piece is the digest of the header, its place
and whether it is the last one: pieces that are missing, repeated, moved or of another file are
noticed, and so is a file that was cut off.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import json
from dataclasses import dataclass, field
from typing import IO, Final

from credentials.cipher import (
    Cipher,
    CipherError,
    UnknownKeyError,
    cipher_from_key,
    cipher_from_passphrase,
    cipher_of_one_value,
    is_key_id,
    key_fingerprint,
    new_salt,
)

_FIRST_LINE: Final = b"NetRaven sealed file 1\n"
_PIECE_BYTES: Final = 1024 * 1024
#: What sealing adds to a piece is far below this.
_LONGEST_SEALED: Final = _PIECE_BYTES + 256
_LONGEST_HEADER: Final = 4096
_LENGTH_BYTES: Final = 4
_KEY_CONTEXT: Final = "key of a sealed file"
_DAMAGED: Final = "the file is damaged or was changed: take another copy of it"


@dataclass(frozen=True, slots=True)
class Passphrase:
    """Seals a file for whoever knows ``text``."""

    text: str = field(repr=False)


#: What opens a file: the keys of the installation, or a passphrase.
Opener = Cipher | Passphrase


class SealedWriter(io.RawIOBase):
    """Encrypts what is written to it into ``target``, which stays open.

    Only ``finish`` completes the file; one that is closed without it cannot be opened.
    """

    def __init__(self, target: IO[bytes], opener: Opener) -> None:
        super().__init__()
        self._target = target
        self._cipher, key = cipher_of_one_value()
        header = json.dumps(_sealed_key(opener, key)).encode() + b"\n"
        self._digest = hashlib.sha256(header).hexdigest()
        self._waiting = bytearray()
        self._place = 0
        target.write(_FIRST_LINE + header)

    def writable(self) -> bool:
        return True

    def write(self, data: object, /) -> int:
        """Take ``data``; it is encrypted as soon as there is a piece of it."""
        view = memoryview(data)  # type: ignore[arg-type]
        self._waiting += view
        while len(self._waiting) > _PIECE_BYTES:
            self._write_piece(bytes(self._waiting[:_PIECE_BYTES]), is_last=False)
            del self._waiting[:_PIECE_BYTES]
        return view.nbytes

    def finish(self) -> None:
        """Write the last piece."""
        self._write_piece(bytes(self._waiting), is_last=True)
        self._waiting.clear()

    def _write_piece(self, piece: bytes, *, is_last: bool) -> None:
        sealed = self._cipher.seal(piece, context=_context(self._digest, self._place, is_last))
        self._place += 1
        self._target.write(len(sealed).to_bytes(_LENGTH_BYTES, "big") + sealed)


class SealedReader(io.RawIOBase):
    """Decrypts what ``SealedWriter`` wrote, from the beginning of ``source`` on.

    Nothing comes out that was not authenticated first. Making one and reading raise CipherError.
    """

    def __init__(self, source: io.BufferedReader, opener: Opener) -> None:
        super().__init__()
        self._source = source
        if source.readline(len(_FIRST_LINE)) != _FIRST_LINE:
            raise CipherError("this is no file that NetRaven has sealed")
        header = source.readline(_LONGEST_HEADER)
        self._digest = hashlib.sha256(header).hexdigest()
        self._cipher = cipher_from_key(_opened_key(opener, header))
        self._opened = memoryview(b"")
        self._place = 0
        self._is_over = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object, /) -> int:
        """Fill ``buffer`` as far as the current piece goes; 0 at the end of the file."""
        while not self._opened and not self._is_over:
            self._read_piece()
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        count = min(len(view), len(self._opened))
        view[:count] = self._opened[:count]
        self._opened = self._opened[count:]
        return count

    def _read_piece(self) -> None:
        """Raises CipherError for a piece that is not the next one of this file."""
        length = int.from_bytes(self._source.read(_LENGTH_BYTES), "big")
        if length > _LONGEST_SEALED:
            raise CipherError(_DAMAGED)
        sealed = self._source.read(length)
        # The last piece is followed by nothing; whether it really is the last, the seal says.
        is_last = not self._source.peek(1)
        try:
            piece = self._cipher.open(sealed, context=_context(self._digest, self._place, is_last))
        except CipherError as error:
            raise CipherError(_DAMAGED) from error
        self._opened, self._is_over = memoryview(piece), is_last
        self._place += 1


def _context(digest: str, place: int, is_last: bool) -> str:
    return f"{digest} {place} {'last' if is_last else 'more'}"


def _sealed_key(opener: Opener, key: bytes) -> dict[str, str]:
    """The header: the key of the file, and how it is opened."""
    if isinstance(opener, Passphrase):
        salt = new_salt()
        cipher = cipher_from_passphrase(opener.text, salt)
        how = {"salt": base64.b64encode(salt).decode()}
    else:
        cipher = opener
        how = {
            "key_id": cipher.current_key_id,
            "fingerprint": key_fingerprint(cipher.keys[cipher.current_key_id]),
        }
    sealed = cipher.seal(key, context=_KEY_CONTEXT)
    return {**how, "sealed_key": base64.b64encode(sealed).decode()}


def _opened_key(opener: Opener, line: bytes) -> bytes:
    header = _parsed(line)
    sealed, salt = _bytes(header, "sealed_key"), _bytes(header, "salt")
    if isinstance(opener, Passphrase):
        if not salt:
            raise CipherError("the file is sealed with a key of the installation, no passphrase")
        try:
            return cipher_from_passphrase(opener.text, salt).open(sealed, context=_KEY_CONTEXT)
        except CipherError as error:
            raise CipherError("the passphrase does not open the file") from error
    if salt:
        raise CipherError("the file is sealed with a passphrase: give it in --passphrase-file")
    _require_same_key(opener, header)
    try:
        return opener.open(sealed, context=_KEY_CONTEXT)
    except CipherError as error:
        raise CipherError(_DAMAGED) from error


def _require_same_key(cipher: Cipher, header: dict[str, str]) -> None:
    key_id = header.get("key_id", "")
    if not is_key_id(key_id):
        raise CipherError(_DAMAGED)
    if key_id not in cipher.keys:
        raise UnknownKeyError(key_id)
    if key_fingerprint(cipher.keys[key_id]) != header.get("fingerprint"):
        raise CipherError(
            f"the file is sealed with another key of the name '{key_id}': configure the encryption "
            "keys (NETRAVEN_ENCRYPTION_KEYS or keys.json) of the installation that wrote it"
        )


def _parsed(line: bytes) -> dict[str, str]:
    try:
        header = json.loads(line)
    except ValueError:  # also UnicodeDecodeError
        raise CipherError(_DAMAGED) from None
    if not isinstance(header, dict) or not all(isinstance(v, str) for v in header.values()):
        raise CipherError(_DAMAGED)
    return header


def _bytes(header: dict[str, str], name: str) -> bytes:
    try:
        return base64.b64decode(header.get(name, ""), validate=True)
    except (binascii.Error, ValueError):
        raise CipherError(_DAMAGED) from None
