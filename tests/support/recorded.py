"""Recorded sessions of real devices, played on loopback. They are not part of the project."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import REFERENCE_DATA

PLAYER = REFERENCE_DATA / "device-replays"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One recorded session and where it is played."""

    name: str
    platform: str
    transport: str
    host: str
    port: int
    username: str
    password: str
    enable_password: str | None
    config_command: str
    #: What the device printed for ``config_command`` when it was recorded.
    text: str


def names() -> list[str]:
    """Names of all recorded sessions; empty where the reference data are missing."""
    return sorted(path.stem for path in (PLAYER / "sessions").glob("*.json"))


@contextlib.contextmanager
def played(*options: str, count: int) -> Iterator[dict[str, Recording]]:
    """Play sessions with ``options`` of the player; gives ``count`` recordings by name."""
    process = subprocess.Popen(
        [
            *(sys.executable, str(PLAYER / "replayd.py"), "--sessions", str(PLAYER / "sessions")),
            *("--listen", "127.0.0.1", "--base-port", str(20000 + os.getpid() % 20000)),
            *options,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        found = [_recording(json.loads(process.stdout.readline())) for _ in range(count)]
        yield {recording.name: recording for recording in found}
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def _recording(line: dict[str, Any]) -> Recording:
    path = PLAYER / "sessions" / f"{line['session']}.json"
    session = json.loads(path.read_text(encoding="utf-8", errors="surrogateescape"))
    return Recording(
        name=line["session"],
        platform=line["platform"],
        transport=line["transport"],
        host=line["host"],
        port=line["port"],
        username=line["username"],
        password=line["password"],
        enable_password=line["enable_password"],
        config_command=line["config_command"],
        text=_recorded_text(session, Path(path)),
    )


def _recorded_text(session: dict[str, Any], path: Path) -> str:
    """The longest answer to the command: in modes of less privilege it is an error."""
    answers = [
        "".join(str(step.get("text", "")) for step in command["reply"] if not step.get("tail"))
        for command in session["commands"]
        if command.get("command") == session["config_command"]
    ]
    if not answers:
        raise LookupError(f"{path} holds no answer to its own config_command")
    return max(answers, key=len)
