"""Encryption at rest: what is damaged, moved or sealed elsewhere cannot be opened."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credentials.cipher import (
    Cipher,
    CipherError,
    UnknownKeyError,
    generate_key,
    parse_keys,
    sealed_key_id,
)

CIPHER = Cipher({"k1": bytes(range(32))})


@given(st.binary(max_size=2000), st.text(st.characters(exclude_categories=["Cs"])))
def test_opens_what_it_sealed(plaintext: bytes, context: str) -> None:
    sealed = CIPHER.seal(plaintext, context=context)
    assert CIPHER.open(sealed, context=context) == plaintext
    assert sealed_key_id(sealed) == "k1"


def test_equal_plaintexts_are_sealed_differently() -> None:
    assert CIPHER.seal(b"x", context="c") != CIPHER.seal(b"x", context="c")


def test_a_moved_value_cannot_be_opened() -> None:
    sealed = CIPHER.seal(b"secret", context="credential:1:password")
    for context in ("credential:2:password", "credential:1:enable_secret", ""):
        with pytest.raises(CipherError, match="damaged or was moved"):
            CIPHER.open(sealed, context=context)


@given(st.data())
def test_a_changed_bit_is_noticed(data: st.DataObject) -> None:
    sealed = bytearray(CIPHER.seal(b"secret", context="c"))
    place = data.draw(st.integers(0, len(sealed) - 1))
    sealed[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(CipherError) as caught:
        CIPHER.open(bytes(sealed), context="c")
    assert "secret" not in str(caught.value)


@given(st.binary(max_size=200))
def test_anything_else_is_refused(value: bytes) -> None:
    with pytest.raises(CipherError):
        CIPHER.open(value, context="c")


@given(st.integers(0, 60))
def test_a_cut_value_is_refused(length: int) -> None:
    sealed = CIPHER.seal(b"x" * 40, context="c")
    with pytest.raises(CipherError):
        CIPHER.open(sealed[:length], context="c")


def test_a_key_id_cannot_be_exchanged() -> None:
    both = Cipher({"a": bytes(32), "b": bytes(32)})
    sealed = both.seal(b"x", context="c")
    with pytest.raises(CipherError, match="damaged"):
        both.open(sealed[:2] + b"b" + sealed[3:], context="c")


def test_rotation_opens_old_values_and_seals_with_the_first_key() -> None:
    sealed = CIPHER.seal(b"old", context="c")
    rotated = Cipher({"k2": bytes(32), **CIPHER.keys})
    assert rotated.open(sealed, context="c") == b"old"
    assert sealed_key_id(rotated.seal(b"new", context="c")) == "k2" == rotated.current_key_id


def test_a_missing_key_is_named() -> None:
    sealed = CIPHER.seal(b"x", context="c")
    with pytest.raises(UnknownKeyError, match="'k1' is not configured") as caught:
        Cipher({"k2": bytes(32)}).open(sealed, context="c")
    assert caught.value.key_id == "k1"


def test_repr_shows_no_key() -> None:
    assert "\\x01" not in repr(CIPHER) and "keys" not in repr(CIPHER)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({}, "no encryption key"),
        ({"k": b"short"}, "must have 32 bytes"),
        ({"a b": bytes(32)}, "a key id has"),
        ({"k" * 33: bytes(32)}, "a key id has"),
    ],
)
def test_unusable_keys_are_refused(keys: dict[str, bytes], words: str) -> None:
    with pytest.raises(CipherError, match=words):
        Cipher(keys)


def test_keys_are_parsed_in_their_order() -> None:
    keys = parse_keys(f"{generate_key('new')}, {generate_key('old')}")
    assert list(keys) == ["new", "old"]
    assert {len(key) for key in keys.values()} == {32}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "entry 1"),
        ("SECRETWORD", "entry 1"),
        (f"{generate_key('a')},SECRETWORD", "entry 2"),
        ("a:SECRETWORD!", "'a' is not valid base64"),
        ("a:" + base64.b64encode(b"SECRETWORD").decode(), "has 10 bytes, it must have 32"),
        (f"{generate_key('a')},{generate_key('a')}", "stands twice"),
        ("a:ü", "not valid base64"),
    ],
    # Names without the keys: all processes of one run have to agree on them.
    ids=["none", "no id", "second", "no base64", "short", "twice", "no ASCII"],
)
def test_wrong_keys_are_named_by_place_only(text: str, words: str) -> None:
    with pytest.raises(CipherError, match=words) as caught:
        parse_keys(text)
    assert "SECRETWORD" not in str(caught.value)
