"""Sealed files: whatever was changed, cut or exchanged gives nothing, and a reason."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credentials.cipher import Cipher, CipherError, UnknownKeyError
from credentials.sealed_stream import Opener, Passphrase, SealedReader, SealedWriter

CIPHER = Cipher({"k1": bytes(range(32))})
PASSPHRASE = Passphrase("correct horse battery staple")
MEBIBYTE = 1024 * 1024


def sealed(*pieces: bytes, opener: Opener = CIPHER) -> bytes:
    target = io.BytesIO()
    writer = SealedWriter(target, opener)
    for piece in pieces:
        writer.write(piece)
    writer.finish()
    return target.getvalue()


def opened(data: bytes, opener: Opener = CIPHER) -> bytes:
    return SealedReader(io.BufferedReader(io.BytesIO(data)), opener).read()


@settings(deadline=None, max_examples=30)
@given(st.lists(st.sampled_from([b"", b"a", b"x" * MEBIBYTE, b"yz" * MEBIBYTE]), max_size=3))
def test_what_was_written_is_read(pieces: list[bytes]) -> None:
    assert opened(sealed(*pieces)) == b"".join(pieces)


def test_a_passphrase_opens_what_it_sealed_and_nothing_else_does() -> None:
    data = sealed(b"config", opener=PASSPHRASE)
    assert opened(data, PASSPHRASE) == b"config"
    with pytest.raises(CipherError, match="passphrase does not open"):
        opened(data, Passphrase("correct horse battery stable"))
    with pytest.raises(CipherError, match="--passphrase-file"):
        opened(data)
    assert PASSPHRASE.text not in repr(PASSPHRASE)


def test_a_short_passphrase_seals_nothing() -> None:
    with pytest.raises(CipherError, match="at least 16"):
        sealed(b"config", opener=Passphrase("hunter2"))


def test_another_key_is_named() -> None:
    data = sealed(b"config")
    with pytest.raises(UnknownKeyError, match="'k1' is not configured"):
        opened(data, Cipher({"k2": bytes(32)}))
    with pytest.raises(CipherError, match="another key of the name 'k1'"):
        opened(data, Cipher({"k1": bytes(32)}))


def _place_of_pieces(data: bytes) -> int:
    return data.index(b"\n", data.index(b"\n") + 1) + 1


def _without_first_piece(data: bytes) -> bytes:
    start = _place_of_pieces(data)
    length = int.from_bytes(data[start : start + 4], "big")
    return data[:start] + data[start + 4 + length :]


def _without_last_piece(data: bytes) -> bytes:
    start = _place_of_pieces(data)
    return data[: start + 4 + int.from_bytes(data[start : start + 4], "big")]


def _with_header_of_another(data: bytes) -> bytes:
    other = sealed(b"z" * 2 * MEBIBYTE)
    return other[: _place_of_pieces(other)] + data[_place_of_pieces(data) :]


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: data + data[_place_of_pieces(data) :],
        lambda data: data[:-20] + bytes([data[-20] ^ 1]) + data[-19:],
        lambda data: data.replace(b'"sealed_key": "', b'"sealed_key": "A', 1),
        lambda data: data.replace(b"{", b"[", 1),
        lambda data: data[: _place_of_pieces(data)],
        lambda data: data[: _place_of_pieces(data)] + b"\xff" * 100,
        _without_first_piece,
        _without_last_piece,
        _with_header_of_another,
    ],
)
def test_a_changed_file_gives_no_end(change: Callable[[bytes], bytes]) -> None:
    data = sealed(b"x" * MEBIBYTE, b"y" * MEBIBYTE)
    with pytest.raises(CipherError, match="damaged or was changed"):
        opened(change(data))


def test_another_file_is_refused() -> None:
    with pytest.raises(CipherError, match="no file that NetRaven has sealed"):
        opened(b"\x1f\x8b" + bytes(100))
