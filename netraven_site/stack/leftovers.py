"""Processes of an earlier ``up`` that was killed: found, told from strangers, and ended."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil

#: Environment variable that every process of a stack carries; the value is the data directory.
MARKER = "_NETRAVEN_STACK"
_END_SECONDS = 10.0
_POLL_SECONDS = 0.05


def first_number(path: Path) -> int | None:
    """The number that the file starts with; None when there is no such file or number."""
    try:
        return int(path.read_text(encoding="utf-8").split()[0])
    except (OSError, ValueError, IndexError):
        return None


def find_server(pid: int, name: str, uid: int) -> psutil.Process | None:
    """The living process ``pid`` if it is the program ``name`` of user ``uid``."""
    try:
        process = psutil.Process(pid)
        if process.name() == name and process.uids().real == uid and _alive(process):
            return process
    except psutil.Error:
        return None
    return None


def end(processes: Iterable[psutil.Process]) -> None:
    """Ask the processes to stop, and kill those that have not after ten seconds."""
    remaining = list(processes)
    for process in remaining:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    deadline = time.monotonic() + _END_SECONDS
    while remaining and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
        remaining = [process for process in remaining if _alive(process)]
    for process in remaining:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def marked(data_dir: Path) -> list[psutil.Process]:
    """The living processes that a stack on ``data_dir`` has left, this one excepted."""
    wanted = str(data_dir)
    return [
        process
        for process in psutil.process_iter()
        if process.pid != os.getpid() and _marker_of(process) == wanted and _alive(process)
    ]


def _marker_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(MARKER)
    except (psutil.Error, OSError):  # gone, or of another user
        return None


def _alive(process: psutil.Process) -> bool:
    """Not a zombie either: in a container whose first process reaps nobody they stay."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
