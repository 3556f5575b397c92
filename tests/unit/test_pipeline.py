"""From what a device printed to what may be stored. The collector here replays recorded bytes."""

from __future__ import annotations

import pytest

from backups.engine.collector import SessionLimits
from backups.engine.errors import DeviceError, ErrorCategory
from backups.engine.pipeline import BackupOutcome, BackupRequest, back_up
from backups.engine.redaction import Redactor
from backups.engine.types import Collection, CommandOutput, DeviceTarget
from credentials.secret import DeviceCredential
from inventory.platforms import PlatformDefinition, get_platform

KEY = b"a key for tests only"
REDACTOR = Redactor(KEY)
LIMITS = SessionLimits(
    connect_timeout=1, login_timeout=1, command_timeout=1, deadline=1, max_output_bytes=1 << 20
)
CREDENTIAL = DeviceCredential(name="lab", username="u", password="CANARY-pass-1")
LINES = [
    "Building configuration...",
    "",
    "Current configuration : 1000 bytes",
    "!",
    "! Last configuration change at 09:00:00 UTC Mon Jan 1 2024 by admin",
    "version 15.2",
    "hostname core",
    "enable secret 5 $1$abcd$efghijklmnopqrstuvwxyz",
    "snmp-server community CANARY-community RO",
    *(f"interface Vlan{number}" for number in range(40)),
    "end",
]


class Replay:
    """A collector that brings home what it was given."""

    def __init__(self, payload: bytes) -> None:
        self._payload = payload

    def collect(
        self,
        target: DeviceTarget,
        credential: DeviceCredential,
        platform: PlatformDefinition,
        limits: SessionLimits,
    ) -> Collection:
        output = CommandOutput(command=platform.commands[0].command, payload=self._payload)
        return Collection(outputs=(output,), host_key="ssh-ed25519 AAAA", phase_seconds={})


def run(payload: bytes, previous_size: int | None = None, share: float = 0.5) -> BackupOutcome:
    request = BackupRequest(
        target=DeviceTarget(
            device_id=1, hostname="core", address="192.0.2.1", port=22, platform="cisco_ios"
        ),
        platform=get_platform("cisco_ios"),
        credential=CREDENTIAL,
        limits=LIMITS,
        previous_size=previous_size,
        minimum_share=share,
    )
    return back_up(request, collector=Replay(payload), redactor=REDACTOR, digest_key=KEY)


def config(lines: list[str] = LINES) -> bytes:
    return "\r\n".join(lines).encode() + b"\r\n"


def text_of(outcome: BackupOutcome) -> str:
    assert outcome.config is not None, outcome.suspicions
    return outcome.config.text


def test_keeps_the_bytes_and_redacts_the_text() -> None:
    outcome = run(config())
    assert outcome.raw == config()
    assert outcome.suspicions == ()
    assert outcome.host_key == "ssh-ed25519 AAAA"
    assert "CANARY" not in text_of(outcome)
    assert "hostname core\n" in text_of(outcome)
    assert "CANARY" not in repr(outcome)


def test_volatile_lines_change_nothing() -> None:
    later = [line.replace("09:00:00", "10:11:12") for line in LINES]
    first, second = run(config()), run(config(later))
    assert first.raw != second.raw
    assert text_of(first) == text_of(second)
    assert first.raw_digest == second.raw_digest


def test_another_secret_changes_the_digest() -> None:
    other = [line.replace("CANARY-community", "CANARY-rotated!!") for line in LINES]
    assert run(config()).raw_digest != run(config(other)).raw_digest


def test_the_digest_is_keyed() -> None:
    request_digest = run(config()).raw_digest
    assert len(request_digest) == 64
    import hashlib

    text = text_of(run(config()))
    assert request_digest != hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    "payload",
    [b"", b"\r\n", config(LINES[:-1]), config(LINES[:10])],
    ids=["empty", "blank", "without its end", "cut"],
)
def test_what_is_not_whole_is_not_trusted(payload: bytes) -> None:
    outcome = run(payload)
    assert outcome.config is None
    assert outcome.suspicions
    assert outcome.raw == payload


def test_a_sudden_loss_is_not_trusted() -> None:
    size = len(text_of(run(config())))
    assert run(config(), previous_size=size * 3).config is None
    assert run(config(), previous_size=size * 3, share=0).config is not None
    assert run(config(), previous_size=size).config is not None


def test_a_rejected_command_is_an_error_that_names_it() -> None:
    with pytest.raises(DeviceError) as caught:
        run(b"% Invalid input detected at '^' marker. CANARY-pass-1\r\n")
    assert caught.value.category is ErrorCategory.COMMAND_REJECTED
    assert "show running-config" in caught.value.message
    assert "CANARY-pass-1" not in caught.value.message


def test_hostile_bytes_become_text_that_a_database_takes() -> None:
    lines = [*LINES[:-1], "banner \x00\x07\x1b[31mred\x1b]52;c;Zm9v\x07 \u202e", "end"]
    text = text_of(run(config(lines).replace(b"red", b"re\xff\xfed")))
    assert "\x00" not in text and "\x1b" not in text
    text.encode()
