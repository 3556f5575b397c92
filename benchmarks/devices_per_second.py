"""Devices per second of the whole product, side by side with bare Netmiko in a thread pool.

Both read the same simulated Cisco IOS devices over SSH, in turn, on the same machine, and every
configuration is checked to be complete. Clients, servers and simulated devices share the cores, so
compare the ratios of one run, not the absolute figures of two.

    python -m benchmarks.devices_per_second [--quick] [--devices N] [--workers 1x50,2x50]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import secrets
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from netraven_site.demo.simulator import DeviceSpec, SimulatorProcess

_LINES = 1500
_THREADS = 50
_PACKAGES = ("netmiko", "paramiko", "celery", "Django", "psycopg")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One measurement; times in seconds."""

    wall: float
    #: CPU of everything that the client consists of.
    cpu: float
    #: Share of ``cpu`` that the workers took; equal to it for bare Netmiko.
    worker_cpu: float
    devices: int

    @property
    def per_second(self) -> float:
        return self.devices / self.wall

    @property
    def cpu_per_device(self) -> float:
        return self.cpu / self.devices


def main() -> None:
    options = _options()
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores; ", end="")
    print(", ".join(f"{name} {version(name)}" for name in _PACKAGES))
    print(f"{options.devices} simulated Cisco IOS devices, {_LINES} lines each")
    password = secrets.token_urlsafe(12)
    specs = [
        DeviceSpec(
            hostname=f"bench-{number:04}",
            platform="cisco_ios",
            username="bench",
            password=password,
            lines=_LINES,
        )
        for number in range(options.devices)
    ]
    with SimulatorProcess(specs) as simulator:
        bare = _bare(specs, simulator)
        _row(f"bare Netmiko, 1x{_THREADS}", bare, bare)
        for processes, threads in options.workers:
            name = f"NetRaven {processes}x{threads}"
            first, second = _product(specs, simulator, processes, threads)
            _row(f"{name}, first run (all new)", first, bare)
            _row(f"{name}, second run (unchanged)", second, bare)
        again = _bare(specs, simulator)
        _row("bare Netmiko again", again, bare)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--devices", type=int, default=300)
    parser.add_argument("--quick", action="store_true", help="60 devices, one worker setting")
    parser.add_argument(
        "--workers",
        type=lambda text: [tuple(map(int, pair.split("x"))) for pair in text.split(",")],
        default=[(1, 50), (2, 25), (2, 50)],
        help="worker processes x threads, separated by commas",
    )
    options = parser.parse_args()
    if options.quick:
        options.devices, options.workers = 60, [(2, 50)]
    return options


def _row(name: str, figures: Figures, bare: Figures) -> None:
    print(
        f"{name:38} {figures.per_second:7.1f} devices/s  "
        f"{1000 * figures.cpu_per_device:6.1f} ms CPU/device "
        f"(workers {1000 * figures.worker_cpu / figures.devices:5.1f})  "
        f"ratio to bare Netmiko {figures.cpu_per_device / bare.cpu_per_device:4.2f} "
        f"(workers {figures.worker_cpu / bare.cpu:4.2f})",
        flush=True,
    )


def _bare(specs: list[DeviceSpec], simulator: SimulatorProcess) -> Figures:
    with tempfile.TemporaryDirectory() as directory:
        job = {
            "threads": _THREADS,
            "directory": directory,
            "username": specs[0].username,
            "password": specs[0].password,
            "devices": [(spec.hostname, *simulator.address(spec.hostname)) for spec in specs],
        }
        answer = subprocess.run(
            [sys.executable, "-m", "benchmarks.bare_netmiko"],
            input=json.dumps(job),
            capture_output=True,
            text=True,
            check=True,
        )
    result = json.loads(answer.stdout)
    if result["complete"] != len(specs):
        print(f"  bare Netmiko got {len(specs) - result['complete']} incomplete texts")
    cpu = result["cpu_seconds"]
    return Figures(wall=result["wall_seconds"], cpu=cpu, worker_cpu=cpu, devices=len(specs))


def _product(
    specs: list[DeviceSpec], simulator: SimulatorProcess, processes: int, threads: int
) -> tuple[Figures, Figures]:
    """Two runs in a stack of their own, in a process of their own."""
    inventory = {
        "password": specs[0].password,
        "devices": [(spec.hostname, *simulator.address(spec.hostname)) for spec in specs],
    }
    with tempfile.TemporaryDirectory() as directory:
        environment = os.environ | {
            "NETRAVEN_DATA_DIR": str(Path(directory) / "data"),
            "NETRAVEN_WORKER_PROCESSES": str(processes),
            "NETRAVEN_WORKER_CONCURRENCY": str(threads),
        }
        answer = subprocess.run(
            [sys.executable, "-m", "benchmarks.product_run"],
            input=json.dumps(inventory),
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
    if answer.returncode:
        raise SystemExit(f"the stack failed:\n{answer.stdout}\n{answer.stderr}")
    first, second = json.loads(answer.stdout.splitlines()[-1])
    return _figures(first, len(specs)), _figures(second, len(specs))


def _figures(result: dict[str, Any], devices: int) -> Figures:
    return Figures(
        wall=result["wall_seconds"],
        cpu=result["cpu_seconds"],
        worker_cpu=result["worker_cpu_seconds"],
        devices=devices,
    )


if __name__ == "__main__":
    main()
