"""Recorded sessions of real devices, read over real SSH and Telnet.

The recordings are reference data and not part of the project; left out where they are missing.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import json
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from backups.engine.collector import SessionLimits
from backups.engine.completeness import answer_of, suspicions
from backups.engine.netmiko_collector import NetmikoCollector
from backups.engine.normalise import normalise
from backups.engine.redaction import Redactor
from backups.engine.types import Collection, DeviceTarget, Transport
from credentials.secret import DeviceCredential
from inventory.platforms import PlatformDefinition, get_platform
from inventory.platforms.definition import Role
from tests.support import recorded
from tests.support.recorded import Recording
from tests.unit.platforms.test_table import KINDS, load_evidence

pytestmark = pytest.mark.corpus

LIMITS = SessionLimits(
    connect_timeout=5,
    login_timeout=20,
    command_timeout=10,
    deadline=60,
    max_output_bytes=10_000_000,
    allowed_networks=(ipaddress.ip_network("127.0.0.0/8"),),
)
#: Written by hand by their contributors to show one behaviour, or cut: without the end that the
#: device prints.
WITHOUT_END = {
    "cisco_nxos-no-inventory-all-sample",
    "sonicwall_sonicos-nsa4650-6.5.4",
}
#: What ``evidence.toml`` calls the kinds of recordings.
WHOLE_OR_NOT = {"terminal": "recorded", "exec": "recorded", "excerpt": "excerpt", "made": "made"}
NAMES = recorded.names()
REDACTOR = Redactor(b"a-key-for-the-tests-of-recordings")
Readings = dict[str, tuple[Future[Collection], Future[Collection]]]


@pytest.fixture(scope="module")
def recordings() -> Iterator[dict[str, Recording]]:
    with recorded.played("--drift", count=len(NAMES)) as found:
        yield found


@pytest.fixture(scope="module")
def readings(recordings: dict[str, Recording]) -> Iterator[Readings]:
    """Each device read twice; most of the time of a session is spent waiting."""
    with ThreadPoolExecutor(12) as pool:
        yield {
            name: (pool.submit(_read, recording), pool.submit(_read, recording))
            for name, recording in recordings.items()
        }


@pytest.mark.parametrize("name", NAMES)
def test_recorded_device_is_read_whole_and_alike_twice(
    name: str, recordings: dict[str, Recording], readings: Readings
) -> None:
    recording = recordings[name]
    platform = _platform(recording)
    first, second = (reading.result().outputs[0].payload for reading in readings[name])
    # Redacted, because secrets that the device salts anew are alike only then.
    stored = _stored(platform, first)
    recorded_text = _stored(platform, recording.text.encode("utf-8", "surrogateescape"))
    assert _lines(stored) == _lines(recorded_text)
    assert _stored(platform, second) == stored
    if name not in WITHOUT_END:
        collection = readings[name][0].result()
        answers = [answer_of(platform, output) for output in collection.outputs[:1]]
        assert suspicions(platform, answers, prompt=collection.prompt) == []


def test_evidence_names_exactly_the_recorded_sessions() -> None:
    found: dict[str, dict[str, set[str]]] = {kind: defaultdict(set) for kind in KINDS}
    for name in NAMES:
        text = (recorded.PLAYER / "sessions" / f"{name}.json").read_text("utf-8", "surrogateescape")
        session = json.loads(text)
        kind = WHOLE_OR_NOT[session["kind"]]
        found[kind][get_platform(session["platform"]).name].add(name)
    evidence = load_evidence()
    for kind in KINDS:
        listed = {platform: set(names) for platform, names in evidence.sessions(kind).items()}
        assert listed == found[kind], f"correct [{kind}] in tests/platforms/evidence.toml"


def _stored(platform: PlatformDefinition, payload: bytes) -> str:
    return REDACTOR.redact(platform, normalise(platform, payload)).text


def _lines(text: str) -> list[str]:
    # Recordings were stored with and without trailing blanks.
    return [line.rstrip() for line in text.split("\n")]


def _read(recording: Recording) -> Collection:
    target = DeviceTarget(
        device_id=1,
        hostname=recording.name,
        address=recording.host,
        port=recording.port,
        platform=recording.platform,
        transport=Transport(recording.transport),
    )
    credential = DeviceCredential(
        name="replay",
        username=recording.username,
        password=recording.password,
        enable_secret=recording.enable_password,
    )
    return NetmikoCollector().collect(target, credential, _platform(recording), LIMITS)


def _platform(recording: Recording) -> PlatformDefinition:
    """The platform with the very command that was recorded, abbreviated or not."""
    platform = get_platform(recording.platform)
    running = next(command for command in platform.commands if command.role is Role.RUNNING)
    command = dataclasses.replace(running, command=recording.config_command, fallback=())
    others = tuple(one for one in platform.commands if one.role is not Role.RUNNING)
    return dataclasses.replace(platform, commands=(command, *others))
