"""From what a device printed to what may be stored. The collector here replays recorded bytes."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from backups.engine.collector import NO_GUARD, LogInGuard, SessionLimits
from backups.engine.errors import DeviceError, ErrorCategory
from backups.engine.pipeline import BackupOutcome, BackupRequest, back_up
from backups.engine.redaction import Redactor
from backups.engine.types import Collection, CommandOutput, DeviceTarget, RedactedConfig
from credentials.secret import DeviceCredential
from inventory.platforms import PlatformDefinition, get_platform
from inventory.platforms.definition import Fact, Role

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

    def __init__(self, *outputs: CommandOutput, notes: tuple[str, ...] = ()) -> None:
        self._outputs = outputs
        self._notes = notes

    def collect(
        self,
        target: DeviceTarget,
        credential: DeviceCredential,
        platform: PlatformDefinition,
        limits: SessionLimits,
        guard: LogInGuard = NO_GUARD,
    ) -> Collection:
        return Collection(
            outputs=self._outputs,
            host_key="ssh-ed25519 AAAA",
            phase_seconds={},
            notes=self._notes,
            prompt="core#",
        )


def answer(payload: bytes, role: Role = Role.RUNNING, command: str = "") -> CommandOutput:
    return CommandOutput(command=command or f"show {role}", role=role, payload=payload)


def run(
    payload: bytes,
    *others: CommandOutput,
    previous_size: int | None = None,
    share: float = 0.5,
    previous_sha256: str | None = None,
    notes: tuple[str, ...] = (),
) -> BackupOutcome:
    request = request_for(previous_size=previous_size, share=share, previous_sha256=previous_sha256)
    collector = Replay(answer(payload), *others, notes=notes)
    return back_up(request, collector=collector, redactor=REDACTOR, digest_key=KEY)


def request_for(
    *, previous_size: int | None, share: float = 0.5, previous_sha256: str | None = None
) -> BackupRequest:
    return BackupRequest(
        target=DeviceTarget(
            device_id=1, hostname="core", address="192.0.2.1", port=22, platform="cisco_ios"
        ),
        platform=get_platform("cisco_ios"),
        credential=CREDENTIAL,
        limits=LIMITS,
        previous_size=previous_size,
        minimum_share=share,
        previous_sha256=previous_sha256,
    )


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


def test_a_prompt_inside_is_not_trusted() -> None:
    assert run(config([*LINES[:20], "core#show version", *LINES[20:]])).config is None


def test_a_sudden_loss_is_not_trusted() -> None:
    size = len(text_of(run(config())).encode())
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


def test_sizes_are_compared_after_redaction() -> None:
    """What redaction and volatile lines add or take away makes no difference."""
    size = len(text_of(run(config())).encode())
    long = [line.replace("CANARY-community", "CANARY" * 500) for line in LINES]
    noisy = [*["ntp clock-period 12345"] * 500, *LINES]
    for lines in (LINES, long, noisy):
        assert run(config(lines), previous_size=2 * size).config is not None
        assert run(config(lines), previous_size=2 * size + 2).config is None


def test_a_text_that_was_accepted_stays_accepted() -> None:
    cut = config(LINES[:-1])
    assert run(cut).config is None
    text = text_of(run(config()))
    accepted = hashlib.sha256(text.removesuffix("end\n").encode()).hexdigest()
    assert text_of(run(cut, previous_sha256=accepted)) + "end\n" == text
    assert run(config(LINES[:-2]), previous_sha256=accepted).config is None


def test_reasons_hold_no_secret() -> None:
    line = f"% Invalid input {CREDENTIAL.password} username x password 0 CANARY-other"
    outcome = run(config([line, *LINES]))
    assert outcome.suspicions and "CANARY" not in " ".join(outcome.suspicions)


def test_what_a_session_says_beside_the_configuration() -> None:
    version = answer(
        b"Cisco IOS Software, C2960 Software (X), Version 15.0(2)SE, RELEASE\r\n"
        b"cisco WS-C2960-24 (PowerPC) processor with 1 bytes\r\n"
        b"Processor board ID FOC1\r\n",
        Role.VERSION,
    )
    saved = answer(config(), Role.STARTUP)
    outcome = run(config(), saved, version)
    assert outcome.raw == config()
    assert outcome.facts[Fact.OS_VERSION] == "15.0(2)SE"
    assert outcome.facts[Fact.SERIAL_NUMBER] == "FOC1"
    assert outcome.attribution is not None and outcome.attribution.user == "admin"
    assert outcome.unsaved is False
    assert outcome.notes == ()
    other = answer(config([*LINES[:-1], "line vty 0 4", "end"]), Role.STARTUP)
    assert run(config(), other).unsaved is True
    assert run(config(LINES[:-1]), other).unsaved is None


def test_the_name_of_a_person_holds_no_secret() -> None:
    lines = [line.replace("by admin", f"by {CREDENTIAL.password}") for line in LINES]
    found = run(config(lines)).attribution
    assert found is not None and "CANARY" not in found.user


def test_facts_hold_no_secret() -> None:
    version = answer(f"Processor board ID {CREDENTIAL.password}\r\n".encode(), Role.VERSION)
    serial = run(config(), version).facts[Fact.SERIAL_NUMBER]
    assert serial.startswith("<redacted:")


def test_optional_commands_that_failed_are_noted() -> None:
    rejected = answer(f"% Invalid input {CREDENTIAL.password}\r\n".encode(), Role.VERSION)
    outcome = run(config(), rejected, notes=("'show x': silence",))
    assert outcome.config is not None
    assert outcome.notes[0] == "'show x': silence"
    assert outcome.notes[1].startswith("'show version': the device rejected it: % Invalid input")
    assert "CANARY" not in " ".join(outcome.notes)


def test_any_rejected_command_of_the_configuration_is_an_error() -> None:
    second = answer(b"% Invalid input detected\r\n", command="show vlan")
    with pytest.raises(DeviceError, match="'show vlan'"):
        run(config(), second)


def test_several_commands_make_one_configuration() -> None:
    outcome = run(config(), answer(b"1 default\r\n", command="show vlan"))
    assert text_of(outcome).endswith("end\n! show vlan\n1 default\n")
    assert run(config(), answer(b"", command="show vlan")).config is None


class Watched(Redactor):
    """A redactor that notes how many texts it works on at once."""

    def __init__(self) -> None:
        super().__init__(KEY)
        self._lock = threading.Lock()
        self._active = 0
        self.most = 0

    def redact(self, platform: PlatformDefinition | None, text: str) -> RedactedConfig:
        with self._lock:
            self._active += 1
            self.most = max(self.most, self._active)
        try:
            return super().redact(platform, text)
        finally:
            with self._lock:
                self._active -= 1


def test_large_texts_are_worked_on_one_after_the_other() -> None:
    redactor = Watched()
    large = config([*LINES[:-1], *(f"interface Vlan{number}" for number in range(70_000)), "end"])
    request = request_for(previous_size=None)
    with ThreadPoolExecutor(4) as threads:
        outcomes = [
            threads.submit(
                back_up, request, collector=Replay(answer(large)), redactor=redactor, digest_key=KEY
            )
            for _ in range(4)
        ]
        assert all(text_of(one.result()).endswith("end\n") for one in outcomes)
    assert redactor.most == 1
