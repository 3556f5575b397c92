"""The channel of an SSH session waits by a clock that nobody sets."""

from __future__ import annotations

import threading
import time

import paramiko
import pytest

from backups.engine.netmiko_collector.channel import BoundedSSHChannel

_HOURS = 3 * 3600.0


@pytest.fixture
def _clock_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look at the wall clock shows an earlier time than the one before."""
    shown = iter(range(0, -1_000_000, -int(_HOURS)))
    monkeypatch.setattr(time, "time", lambda: float(next(shown)))


@pytest.mark.usefixtures("_clock_is_set_back")
def test_silence_ends_although_the_clock_is_set_back() -> None:
    channel = BoundedSSHChannel(paramiko.Channel(1), "utf-8")
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(channel.read_bytes(0.01)), daemon=True)
    reader.start()
    reader.join(20)
    assert read == [b""]


def test_what_came_is_read_at_once() -> None:
    connection = paramiko.Channel(1)
    channel = BoundedSSHChannel(connection, "utf-8")
    connection.in_buffer.feed(b"sw1#")
    assert channel.read_bytes(60) == b"sw1#"
    assert channel.read_bytes(0.01) == b""
