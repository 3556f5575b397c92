"""Wall time and CPU of one session, with and without Netmiko's fixed waits.

Three ways to read the same simulated devices, one after the other: Netmiko alone
(``ConnectHandler`` and ``send_command``), NetRaven's collector with the session preparation of
Netmiko's driver, and the collector with its own preparation. Compare the ratios of one run.

    python -m benchmarks.session_waits [--sessions N] [--platforms cisco_ios,linux]
"""

from __future__ import annotations

import argparse
import dataclasses
import ipaddress
import secrets
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from netmiko import ConnectHandler

from backups.engine.collector import SessionLimits
from backups.engine.netmiko_collector import NetmikoCollector
from backups.engine.types import DeviceTarget
from benchmarks.report import print_versions
from credentials.secret import DeviceCredential
from inventory.platforms import PlatformDefinition, get_platform
from inventory.platforms.definition import Role
from netraven_site.demo.simulator import DeviceSpec, SimulatorProcess

_LIMITS = SessionLimits(
    connect_timeout=5,
    login_timeout=20,
    command_timeout=30,
    deadline=120,
    max_output_bytes=32 * 1024 * 1024,
    allowed_networks=(ipaddress.ip_network("127.0.0.0/8"),),
)
_LINES = 1500


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Median wall time and mean CPU of one session, in seconds, and the bytes it brought."""

    wall: float
    cpu: float
    size: int


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--platforms", default="cisco_ios,arista_eos,linux")
    options = parser.parse_args()
    print_versions("netmiko", "paramiko")
    print(f"{options.sessions} sessions in a row for each figure")
    for name in options.platforms.split(","):
        _measure_platform(name, options.sessions)


def _measure_platform(name: str, sessions: int) -> None:
    spec = DeviceSpec(
        hostname=f"bench-{name.replace('_', '-')}",
        platform=name,
        username="bench",
        password=secrets.token_urlsafe(12),
        lines=_LINES,
    )
    definition = get_platform(name)
    running = tuple(one for one in definition.commands if one.role is Role.RUNNING)
    definition = dataclasses.replace(definition, commands=running)
    by_driver = dataclasses.replace(definition, driver_prepares=True, preparation=())
    with SimulatorProcess([spec]) as simulator:
        address, port = simulator.address(spec.hostname)
        alone = _measure(lambda: _netmiko(definition, spec, address, port), sessions)
        before = _measure(lambda: _collector(by_driver, spec, address, port), sessions)
        after = _measure(lambda: _collector(definition, spec, address, port), sessions)
    for label, figures in (
        ("Netmiko alone", alone),
        ("collector, driver prepares", before),
        ("collector, waits trimmed", after),
    ):
        print(
            f"{name:14} {label:28} {1000 * figures.wall:7.0f} ms wall "
            f"({figures.wall / alone.wall:4.2f})  {1000 * figures.cpu:6.1f} ms CPU "
            f"({figures.cpu / alone.cpu:4.2f})  {figures.size} bytes",
            flush=True,
        )


def _measure(session: Callable[[], int], count: int) -> Figures:
    session()  # imports and caches
    walls = []
    begin_cpu = time.process_time()
    for _ in range(count):
        begin = time.perf_counter()
        size = session()
        walls.append(time.perf_counter() - begin)
    cpu = (time.process_time() - begin_cpu) / count
    return Figures(wall=statistics.median(walls), cpu=cpu, size=size)


def _netmiko(definition: PlatformDefinition, spec: DeviceSpec, address: str, port: int) -> int:
    with ConnectHandler(
        device_type=definition.driver,
        host=address,
        port=port,
        username=spec.username,
        password=spec.password,
    ) as session:
        return sum(
            len(str(session.send_command(command.command, read_timeout=30)))
            for command in definition.commands
        )


def _collector(definition: PlatformDefinition, spec: DeviceSpec, address: str, port: int) -> int:
    collection = NetmikoCollector().collect(
        DeviceTarget(
            device_id=1, hostname=spec.hostname, address=address, port=port, platform=spec.platform
        ),
        DeviceCredential(name="bench", username=spec.username, password=spec.password),
        definition,
        _LIMITS,
    )
    return sum(len(output.payload) for output in collection.outputs)


if __name__ == "__main__":
    main()
