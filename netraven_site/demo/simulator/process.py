"""Runs a fleet in a child process and controls it."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

from netraven_site.demo.simulator.errors import SimulatorError
from netraven_site.demo.simulator.faults import Fault
from netraven_site.demo.simulator.spec import DeviceSpec, fleet_document

_PROJECT = Path(__file__).resolve().parents[3]
_START_SECONDS_PER_DEVICE = 0.5
_START_SECONDS = 30.0
_ANSWER_SECONDS = 30.0
_STOP_SECONDS = 10.0
_END = b""
"""Stands behind the last line of a stream."""


@dataclass(frozen=True, slots=True)
class Listener:
    """Where a device of the child process listens."""

    hostname: str
    platform: str
    address: str
    port: int
    fingerprint: str


class _Child:
    """The child process with its three pipes.

    Args:
        spec: the fleet's file, mode 0600.
    """

    def __init__(self, spec: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "netraven_site.demo.simulator", "--spec", str(spec)],
            cwd=_PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._lines: queue.Queue[bytes] = queue.Queue()
        self._errors: list[bytes] = []
        self._readers = (
            _reading(self._process.stdout, self._lines.put, end=_END),
            _reading(self._process.stderr, self._errors.append),
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, document: Mapping[str, object]) -> None:
        pipe = self._process.stdin
        try:
            if pipe is not None:
                pipe.write(json.dumps(document).encode() + b"\n")
                pipe.flush()
        except OSError as error:
            raise SimulatorError(self._last_words()) from error

    def receive(self, timeout: float) -> dict[str, Any]:
        try:
            line = self._lines.get(timeout=timeout)
        except queue.Empty:
            raise SimulatorError(f"the simulator did not answer within {timeout:.0f} s") from None
        if line == _END:
            self._lines.put(_END)
            raise SimulatorError(self._last_words())
        document: dict[str, Any] = json.loads(line)
        return document

    def end(self) -> None:
        """Close its standard input, which ends it; kill it if that does not help."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # it may have ended by itself
                self._process.stdin.close()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for reader in self._readers:
            reader.join()

    def _last_words(self) -> str:
        for reader in self._readers:
            reader.join(_STOP_SECONDS)
        words = b"".join(self._errors).decode("utf-8", "replace").strip()
        return f"the simulator ended: {words.splitlines()[-1] if words else 'no reason given'}"


class SimulatorProcess:
    """A fleet in a child process; its control methods are thread-safe.

    The child ends with `stop`, and by itself when this process dies.

    Args:
        devices: the fleet.
        host_key_file: keeps the host keys over restarts; None for new keys at each start.
    """

    def __init__(self, devices: Sequence[DeviceSpec], *, host_key_file: Path | None = None) -> None:
        self._devices = tuple(devices)
        self._host_key_file = host_key_file
        self._child: _Child | None = None
        self._lock = threading.Lock()
        self._listeners: dict[str, Listener] = {}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The child's process id.

        Raises:
            SimulatorError: it is not started.
        """
        return self._running().pid

    @property
    def listeners(self) -> Mapping[str, Listener]:
        """All devices by hostname, once started."""
        return self._listeners

    def start(self) -> None:
        """Start the child and wait until every device listens.

        Raises:
            SimulatorError: it runs already, or the child could not start (with its own words).
        """
        if self._child is not None:
            raise SimulatorError("the simulator is running already: stop it first")
        with tempfile.TemporaryDirectory(prefix="netraven-simulator-") as directory:
            spec = Path(directory) / "fleet.json"
            _write_private(spec, fleet_document(self._devices, self._host_key_file))
            self._child = _Child(spec)
            try:
                self._listeners = self._await_ready(self._child)
            except SimulatorError:
                self.stop()
                raise

    def stop(self) -> None:
        """End the child; does nothing when it is not running."""
        child, self._child = self._child, None
        self._listeners = {}
        if child is not None:
            child.end()

    def address(self, hostname: str) -> tuple[str, int]:
        """IP address and TCP port of a device.

        Raises:
            SimulatorError: no such device, or not started.
        """
        try:
            listener = self._listeners[hostname]
        except KeyError:
            raise SimulatorError(f"no device called {hostname!r} is listening") from None
        return listener.address, listener.port

    def fingerprint(self, hostname: str) -> str:
        """`SHA256:...` of a device's true host key."""
        return self._listeners[hostname].fingerprint

    def change(self, hostname: str) -> list[str]:
        """Alter a device's configuration; returns a sentence per change."""
        return list(self._ask({"change": hostname})["changes"])

    def set_fault(self, hostname: str, fault: Fault | None) -> None:
        """Give a device a fault, or none."""
        kind = fault.kind.value if fault else None
        value = (fault.value or None) if fault else None
        self._ask({"fault": {"hostname": hostname, "kind": kind, "value": value}})

    def log(self, hostname: str) -> dict[str, Any]:
        """What happened to a device: the counters of `DeviceLog`."""
        return dict(self._ask({"log": hostname})["log"])

    def config(self, hostname: str, view: str = "running") -> str:
        """A device's text as its latest read showed it, with `\\n`."""
        return str(self._ask({"config": {"hostname": hostname, "view": view}})["config"])

    def secrets(self, hostname: str) -> frozenset[str]:
        """Every secret that stood in a device's texts up to now."""
        return frozenset(self._ask({"secrets": hostname})["secrets"])

    def _await_ready(self, child: _Child) -> dict[str, Listener]:
        timeout = _START_SECONDS + _START_SECONDS_PER_DEVICE * len(self._devices)
        listeners: dict[str, Listener] = {}
        while (event := child.receive(timeout)).pop("event") != "ready":
            listener = Listener(**event)
            listeners[listener.hostname] = listener
        return listeners

    def _ask(self, command: Mapping[str, object]) -> dict[str, Any]:
        with self._lock:
            child = self._running()
            child.send(command)
            reply = child.receive(_ANSWER_SECONDS)
        if not reply["ok"]:
            raise SimulatorError(reply["error"])
        return reply

    def _running(self) -> _Child:
        if self._child is None:
            raise SimulatorError("the simulator is not running: start it first")
        return self._child


def _write_private(path: Path, document: Mapping[str, object]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(document, file)


def _reading(
    stream: IO[bytes] | None, take: Callable[[bytes], None], end: bytes | None = None
) -> threading.Thread:
    """A thread that hands over the stream's lines, then `end`, and closes the stream."""

    def work() -> None:
        if stream is not None:
            with stream:
                for line in stream:
                    take(line)
        if end is not None:
            take(end)

    thread = threading.Thread(target=work, name="simulator-output", daemon=True)
    thread.start()
    return thread
