"""CPU and devices per second of the whole product, side by side with Netmiko in a thread pool.

All clients read the same simulated Cisco IOS devices over SSH, in turn, on the same machine, and
every configuration is checked to be complete. Clients, servers and simulated devices share the
cores, so compare the ratios of one run, not the absolute figures of two.

Three yardsticks: bare Netmiko with the one command that brings the configuration, bare Netmiko
with all commands that NetRaven asks (ratios are to this one), and the latter with a commit per
device by GitPython's index. CPU of NetRaven is that of all its processes.

    python -m benchmarks.devices_per_second [--quick] [--devices N] [--workers 1x50,2x50]
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.report import print_versions
from inventory.platforms import get_platform
from netraven_site.demo.simulator import DeviceSpec, SimulatorProcess

_LINES = 1500
_THREADS = 50
_PLATFORM = "cisco_ios"
_PACKAGES = ("netmiko", "paramiko", "celery", "Django", "psycopg", "GitPython")
_WORKER_PARTS = ("devices", "control", "isolated")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One measurement; times in seconds."""

    devices: int
    wall: float
    #: CPU of everything that the client consists of, by its parts.
    cpu: Mapping[str, float]

    @property
    def per_second(self) -> float:
        return self.devices / self.wall

    @property
    def milliseconds(self) -> float:
        """CPU per device of all parts."""
        return self.of(*self.cpu)

    def of(self, *parts: str) -> float:
        """CPU per device of some parts, in milliseconds."""
        return 1000 * sum(self.cpu.get(part, 0.0) for part in parts) / self.devices


class Client:
    """A client process that reads all devices whenever it is told to."""

    def __init__(
        self, module: str, job: Mapping[str, Any], environment: Mapping[str, str] | None = None
    ) -> None:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        self._devices = len(job["devices"])
        #: How many devices had changed, where the client says so.
        self.changed: int | None = None
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, **(environment or {})},
        )
        self._send(json.dumps(job))

    def read_all(self) -> Figures:
        """Let the client read all devices. Ends the benchmark when it fails."""
        self._send("go")
        assert self._process.stdout is not None  # a pipe
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            raise SystemExit(f"a client failed:\n{self._errors.read()}")
        result = json.loads(line)
        self.changed = result.get("changed")
        if result.get("complete", self._devices) != self._devices:
            print(f"  {self._devices - result['complete']} of the following texts are incomplete")
        cpu = result["cpu_seconds"]
        return Figures(
            devices=self._devices,
            wall=result["wall_seconds"],
            cpu=cpu if isinstance(cpu, dict) else {"client": cpu},
        )

    def close(self) -> None:
        """Let the client end."""
        self._process.communicate()
        self._errors.close()

    def _send(self, line: str) -> None:
        assert self._process.stdin is not None  # a pipe
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()


class Fleet:
    """The devices, and the clients that read them."""

    def __init__(self, devices: int) -> None:
        password = secrets.token_urlsafe(12)
        self._specs = [
            DeviceSpec(
                hostname=f"bench-{number:04}",
                platform=_PLATFORM,
                username="bench",
                password=password,
                lines=_LINES,
            )
            for number in range(devices)
        ]
        self._simulator = SimulatorProcess(self._specs)

    @contextmanager
    def running(self) -> Iterator[None]:
        """All devices listen while the block runs."""
        with self._simulator:
            yield

    def change_all(self) -> None:
        """Alter the configuration of every device."""
        for spec in self._specs:
            self._simulator.change(spec.hostname)

    @contextmanager
    def netmiko(self, commands: Sequence[str], *, commits: bool = False) -> Iterator[Client]:
        """Netmiko in a thread pool."""
        with tempfile.TemporaryDirectory() as directory:
            job = {
                "threads": _THREADS,
                "directory": directory,
                "commands": commands,
                "commits": commits,
                "username": self._specs[0].username,
                **self._inventory(),
            }
            yield from _closing(Client("benchmarks.bare_netmiko", job))

    @contextmanager
    def product(self, processes: int, threads: int) -> Iterator[Client]:
        """NetRaven in a stack of its own."""
        with tempfile.TemporaryDirectory() as directory:
            environment = {
                "NETRAVEN_DATA_DIR": str(Path(directory) / "data"),
                "NETRAVEN_WORKER_PROCESSES": str(processes),
                "NETRAVEN_WORKER_CONCURRENCY": str(threads),
            }
            yield from _closing(Client("benchmarks.product_run", self._inventory(), environment))

    def _inventory(self) -> dict[str, Any]:
        return {
            "password": self._specs[0].password,
            "devices": [
                (spec.hostname, *self._simulator.address(spec.hostname)) for spec in self._specs
            ],
        }


def main() -> None:
    options = _options()
    commands = [command.command for command in get_platform(_PLATFORM).commands]
    print_versions(*_PACKAGES)
    print(
        f"{options.devices} simulated Cisco IOS devices, {_LINES} lines each; NetRaven asks "
        f"{len(commands)} commands: {', '.join(commands)}"
    )
    fleet = Fleet(options.devices)
    with fleet.running():
        bare = _measure_yardsticks(fleet, commands)
        for processes, threads in options.workers:
            _measure_product(fleet, processes, threads, bare)
        with fleet.netmiko(commands) as client:
            _row("bare Netmiko again, same commands", client.read_all(), bare)


def _measure_yardsticks(fleet: Fleet, commands: Sequence[str]) -> Figures:
    """Measure and print the other clients; gives the one to compare with."""
    with fleet.netmiko(commands) as client:
        bare = client.read_all()
    with fleet.netmiko(commands[:1]) as client:
        _row("bare Netmiko, one command", client.read_all(), bare)
    _row("bare Netmiko, same commands", bare, bare)
    with fleet.netmiko(commands, commits=True) as client:
        client.read_all()
        fleet.change_all()
        _row("Netmiko + GitPython, all changed", client.read_all(), bare)
    return bare


def _measure_product(fleet: Fleet, processes: int, threads: int, bare: Figures) -> None:
    with fleet.product(processes, threads) as client:
        name = f"NetRaven {processes}x{threads}"
        _row(f"{name}, all new", client.read_all(), bare)
        fleet.change_all()
        _row(f"{name}, all changed", client.read_all(), bare)
        _row(f"{name}, nothing changed", client.read_all(), bare)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--devices", type=int, default=200)
    parser.add_argument("--quick", action="store_true", help="60 devices, one worker setting")
    parser.add_argument(
        "--workers",
        type=lambda text: [tuple(map(int, pair.split("x"))) for pair in text.split(",")],
        default=[(1, 50), (2, 50)],
        help="worker processes x threads, separated by commas",
    )
    options = parser.parse_args()
    if options.quick:
        options.devices, options.workers = 60, [(2, 50)]
    return options


def _row(name: str, figures: Figures, bare: Figures) -> None:
    line = (
        f"{name:34} {figures.per_second:6.1f} devices/s {figures.milliseconds:6.1f} ms CPU/device, "
        f"ratio {figures.milliseconds / bare.milliseconds:5.2f}"
    )
    if len(figures.cpu) > 1:
        workers = figures.of(*_WORKER_PARTS)
        parts = sorted(figures.cpu, key=figures.of, reverse=True)
        line += f" (workers {workers:5.1f} ms, ratio {workers / bare.milliseconds:5.2f})\n    "
        line += ", ".join(f"{part} {figures.of(part):.1f}" for part in parts)
    print(line, flush=True)


def _closing(client: Client) -> Iterator[Client]:
    try:
        yield client
    finally:
        client.close()


if __name__ == "__main__":
    main()
