"""Secrets in memory do not print themselves."""

from __future__ import annotations

import dataclasses

import pytest

from credentials.secret import DeviceCredential

CREDENTIAL = DeviceCredential(
    name="lab",
    username="netops",
    password="CANARY-1",
    enable_secret="CANARY-2",
    ssh_key="CANARY-3",
    ssh_key_passphrase="CANARY-4",
)


def test_repr_shows_who_and_nothing_else() -> None:
    assert repr(CREDENTIAL) == "DeviceCredential(name='lab', username='netops')"
    assert "CANARY" not in f"{CREDENTIAL} {[CREDENTIAL]} {CREDENTIAL!s}"


def test_secrets_are_those_that_are_set() -> None:
    assert CREDENTIAL.secrets() == ("CANARY-1", "CANARY-2", "CANARY-3", "CANARY-4")
    assert DeviceCredential(name="n", username="u", password="").secrets() == ()


def test_a_credential_does_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        CREDENTIAL.password = "other"  # type: ignore[misc]  # that it is refused is the point
