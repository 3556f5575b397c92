"""Bytes that are no text, in front of a line, do not hide what the line is."""

from __future__ import annotations

import pytest

from backups.engine.normalise import normalise
from backups.engine.redaction import Redactor
from inventory.platforms import get_platform

_REDACTOR = Redactor(b"k" * 32)


@pytest.mark.parametrize("noise", [b"\xff\xfe\x80", b"\xc3", "\u202e\u2066".encode(), b"\xff \xfe"])
@pytest.mark.parametrize(
    ("platform_name", "line", "secret"),
    [
        ("cisco_ios", "snmp-server host 10.1.1.20 version 2c QuietFox7", "QuietFox7"),
        ("cisco_nxos", "snmp-server community QuietFox7 ro", "QuietFox7"),
        ("linux", "rocommunity QuietFox7 10.0.0.0/16", "QuietFox7"),
    ],
)
def test_the_secret_is_found(platform_name: str, line: str, secret: str, noise: bytes) -> None:
    platform = get_platform(platform_name)
    shown = normalise(platform, noise + line.encode())
    assert secret in shown
    redacted = _REDACTOR.redact(platform, shown).text
    assert secret not in redacted
    before, _, after = shown.partition(secret)
    assert redacted.startswith(before)
    assert redacted.endswith(after)


def test_such_bytes_in_a_value_are_part_of_it() -> None:
    platform = get_platform("cisco_ios")
    text = normalise(platform, b"username ops password 0 Quiet\xffFox7")
    assert "Fox7" not in _REDACTOR.redact(platform, text).text
