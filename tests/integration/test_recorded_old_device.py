"""A recorded device that offers nothing but old SSH algorithms, and one behind Telnet."""

from __future__ import annotations

import pytest

from backups.engine.errors import ErrorCategory
from backups.engine.types import Transport
from credentials.secret import DeviceCredential
from tests.support.reading import device, failure, read
from tests.support.recorded import Recording, names, played

pytestmark = pytest.mark.corpus

PLATFORM = "cisco_ios"


def login(recording: Recording) -> DeviceCredential:
    return DeviceCredential(
        name="replay",
        username=recording.username,
        password=recording.password,
        enable_secret=recording.enable_password,
    )


def first_of(platform: str) -> str:
    return next(name for name in names() if name.startswith(f"{platform}-"))


def test_old_algorithms_have_to_be_allowed() -> None:
    name = first_of(PLATFORM)
    with played("--legacy-crypto", "--only", name, count=1) as recordings:
        recording = recordings[name]
        error = failure(device(recording.port, platform=PLATFORM), login(recording))
        assert error.category is ErrorCategory.SSH_NEGOTIATION
        assert "legacy_algorithms" in error.message
        allowed = device(recording.port, platform=PLATFORM, legacy_algorithms=True)
        assert b"hostname" in read(allowed, login(recording)).outputs[0].payload


def test_recorded_device_over_telnet() -> None:
    name = first_of(PLATFORM)
    with played("--only", name, "--telnet-base-port", "45300", count=2) as recordings:
        # The player names both alike; the second one is Telnet.
        recording = next(iter(recordings.values()))
        assert recording.transport == "telnet"
        target = device(recording.port, platform=PLATFORM, transport=Transport.TELNET)
        assert b"hostname" in read(target, login(recording)).outputs[0].payload
