"""What the worker processes of a running stack use: memory, threads, sockets."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.support.up import Up

_WATCH_SECONDS = 0.2
_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


@contextmanager
def watched_memory(up: Up) -> Iterator[Mapping[str, int]]:
    """The most memory that each worker process has had so far, in bytes, by its name and id.

    The kernel keeps the peak (proc(5)), so it is whole for every process that is seen once.
    """
    peaks: dict[str, int] = {}
    end = threading.Event()

    def run() -> None:
        while not end.wait(_WATCH_SECONDS):
            for process in worker_processes(up):
                with contextlib.suppress(psutil.Error, OSError):  # it has just ended
                    peaks[f"{_name(process)} {process.pid}"] = _peak(process)

    thread = threading.Thread(target=run, name="watch-memory", daemon=True)
    thread.start()
    try:
        yield peaks
    finally:
        end.set()
        thread.join(10)


def worker_processes(up: Up) -> list[psutil.Process]:
    """All worker processes of the stack, children of pools included."""
    assert up.process is not None
    processes = []
    for process in psutil.Process(up.process.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it has just ended
            if {"celery", "worker"} <= set(process.cmdline()):
                processes.append(process)
    return processes


def threads_by_worker(up: Up) -> dict[str, int]:
    """How many threads each worker process has, by its name and id."""
    return {
        f"{_name(process)} {process.pid}": process.num_threads() for process in worker_processes(up)
    }


def connections_to(up: Up, ports: Collection[int]) -> list[str]:
    """The TCP connections of all worker processes to ``ports``, in whatever state."""
    return [
        f"{_name(process)}: {connection.status} {connection.raddr}"
        for process in worker_processes(up)
        for connection in process.net_connections(kind="tcp")
        if connection.raddr and connection.raddr.port in ports
    ]


def _name(process: psutil.Process) -> str:
    arguments = process.cmdline()
    return arguments[arguments.index("-n") + 1].partition("@")[0]


def _peak(process: psutil.Process) -> int:
    found = _PEAK.search(Path(f"/proc/{process.pid}/status").read_text(encoding="ascii"))
    assert found is not None
    return int(found[1]) * 1024
