"""Measured against reference data that is not part of the project; left out where it is missing."""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backups.engine import completeness
from backups.engine.collector import SessionLimits
from backups.engine.netmiko_collector import NetmikoCollector
from backups.engine.normalise import clean_text, normalise
from backups.engine.types import DeviceTarget
from credentials.secret import DeviceCredential
from inventory.platforms import PlatformDefinition, get_platform
from tests.conftest import REFERENCE_DATA

pytestmark = pytest.mark.corpus

CORPUS_PLATFORMS = (
    "cisco_ios",
    "cisco_xe",
    "cisco_nxos",
    "arista_eos",
    "juniper_junos",
    "vyos",
    "linux",
)
REPLAYED = ("cisco_ios", "cisco_xe", "cisco_nxos", "arista_eos", "juniper_junos")
LIMITS = SessionLimits(
    connect_timeout=5,
    login_timeout=10,
    command_timeout=10,
    deadline=60,
    max_output_bytes=10_000_000,
    allowed_networks=(ipaddress.ip_network("127.0.0.0/8"),),
)


@pytest.mark.parametrize("platform", CORPUS_PLATFORMS)
def test_nothing_leaks_and_nothing_else_is_touched(platform: str, tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    command = f"{shlex.quote(sys.executable)} manage.py redact --jsonl"
    scorer = REFERENCE_DATA / "redaction-corpus" / "score.py"
    arguments = ["--cmd", command, "--platform", platform, "--json", str(figures)]
    subprocess.run([sys.executable, str(scorer), *arguments], check=False, capture_output=True)
    found = json.loads(figures.read_text())
    assert found["secrets"] > 0
    wrong = {name: found[name] for name in ("leaked", "broken", "lost", "context_lost", "missing")}
    assert not any(wrong.values()), wrong


@pytest.fixture(scope="module")
def sessions() -> Iterator[list[dict[str, Any]]]:
    """Recorded sessions of real devices, played over SSH on loopback."""
    player = REFERENCE_DATA / "device-replays"
    only = [argument for name in REPLAYED for argument in ("--only", f"{name}-*")]
    process = subprocess.Popen(
        [
            *(sys.executable, str(player / "replayd.py")),
            *("--sessions", str(player / "sessions"), *only),
            *("--listen", "127.0.0.1", "--base-port", str(30000 + os.getpid() % 20000)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    expected = sum(len(list((player / "sessions").glob(f"{name}-*"))) for name in REPLAYED)
    try:
        yield [json.loads(process.stdout.readline()) for _ in range(expected)]
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def test_recorded_devices_are_read_whole_and_alike_twice(sessions: list[dict[str, Any]]) -> None:
    read = 0
    for session in sessions:
        if session["transport"] != "ssh":
            continue
        platform = _platform(session)
        first, second = (_read(session) for _ in range(2))
        assert normalise(platform, first) == normalise(platform, second), session["session"]
        text = clean_text(first)
        assert completeness.rejection(platform, text) is None, session["session"]
        if session["session"] not in SAMPLES:
            assert not completeness.check(platform, text, previous_size=None), session["session"]
        read += 1
    assert read >= 6


#: Written by hand to show one behaviour, without the end that a device prints.
SAMPLES = {"cisco_nxos-no-inventory-all-sample"}


def _read(session: dict[str, Any]) -> bytes:
    target = DeviceTarget(
        device_id=1,
        hostname=session["session"],
        address=session["host"],
        port=session["port"],
        platform=session["platform"],
    )
    credential = DeviceCredential(
        name="replay",
        username=session["username"],
        password=session["password"],
        enable_secret=session["enable_password"],
    )
    collection = NetmikoCollector().collect(target, credential, _platform(session), LIMITS)
    return collection.outputs[0].payload


def _platform(session: dict[str, Any]) -> PlatformDefinition:
    """The platform with the very command that was recorded, abbreviated or not."""
    platform = get_platform(session["platform"])
    command = dataclasses.replace(platform.commands[0], command=session["config_command"])
    return dataclasses.replace(platform, commands=(command,))
