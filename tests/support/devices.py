"""Simulated devices for tests: in a thread of this process, or in a child process.

with fleet_in_thread(device_spec("cisco_ios")) as fleet:
    connection = ConnectHandler(**netmiko_arguments(fleet, fleet.specs[0]))
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from netraven_site.demo.simulator import DeviceSpec, Fault, Fleet, SimulatorProcess
from netraven_site.demo.simulator.configs.layout import MAIN
from tests.support.loop_thread import LoopThread

_T = TypeVar("_T")

CONFIG_COMMANDS: Mapping[str, str] = {
    "arista_eos": "show running-config",
    "cisco_ios": "show running-config",
    "cisco_nxos": "show running-config",
    "frr": "show running-config",
    "juniper_junos": "show configuration",
    "linux": (
        "cat /etc/hostname /etc/hosts /etc/resolv.conf /etc/network/interfaces /etc/sysctl.d/*.conf"
        " /etc/frr/frr.conf /etc/nftables.conf /etc/snmp/snmpd.conf /etc/wireguard/wg0.conf"
        " /etc/pam_radius_auth.conf /etc/tacplus_servers /etc/shadow /etc/ntpsec/ntp.conf"
    ),
    "vyos": "show configuration commands",
}
"""The command that prints a device's main text, by platform."""

_NOTHING = re.compile(r"(?!)")
VOLATILE: Mapping[str, re.Pattern[str]] = {
    "arista_eos": re.compile(r"! Time: "),
    "cisco_ios": re.compile(r"! (Last configuration change|NVRAM config last)|ntp clock-period "),
    "cisco_nxos": re.compile(r"!(Time|Running configuration last done at): "),
    "frr": _NOTHING,
    "juniper_junos": re.compile(r"## Last commit: "),
    "linux": _NOTHING,
    "vyos": _NOTHING,
}
"""Matches the start of the lines that differ between two reads, by platform."""

_NETMIKO_TYPES = {"frr": "cisco_ios"}


class Addressed(Protocol):
    """Anything that knows where its devices listen."""

    def address(self, hostname: str) -> tuple[str, int]:
        """IP address and TCP port."""


def device_spec(platform: str, hostname: str | None = None, **overrides: Any) -> DeviceSpec:
    """A device with a random password; the hostname is made of the platform by default."""
    values: dict[str, Any] = {
        "hostname": hostname or f"{platform.replace('_', '-')}-1",
        "platform": platform,
        "username": "netops",
        "password": secrets.token_urlsafe(12),
    }
    return DeviceSpec(**{**values, **overrides})


def netmiko_arguments(fleet: Addressed, spec: DeviceSpec, **overrides: Any) -> dict[str, Any]:
    """What `netmiko.ConnectHandler` needs to reach a device with plain drivers."""
    host, port = fleet.address(spec.hostname)
    arguments: dict[str, Any] = {
        "device_type": _NETMIKO_TYPES.get(spec.platform, spec.platform),
        "host": host,
        "port": port,
        "username": spec.username,
        "password": spec.password,
        "secret": spec.enable_secret or "",
    }
    return {**arguments, **overrides}


class ThreadedFleet:
    """A fleet in a thread with its own event loop; its methods may be called from any thread."""

    def __init__(self, *specs: DeviceSpec, host_key_file: Path | None = None) -> None:
        self.specs = specs
        self._fleet = Fleet(specs, host_key_file=host_key_file)
        self._thread = LoopThread("simulator")

    def start(self) -> None:
        """Start the thread and all devices.

        Raises:
            SimulatorError: a device cannot listen; nothing is left running.
        """
        self._thread.start()
        try:
            self._thread.run(self._fleet.start())
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the devices, then the thread."""
        self._thread.run(self._fleet.stop())
        self._thread.stop()

    def address(self, hostname: str) -> tuple[str, int]:
        """IP address and TCP port of a device."""
        return self._call(self._fleet.address, hostname)

    def fingerprint(self, hostname: str) -> str:
        """`SHA256:...` of a device's true host key."""
        return self._call(self._fleet.fingerprint, hostname)

    def change(self, hostname: str) -> list[str]:
        """Alter a device's configuration; returns a sentence per change."""
        return self._call(self._fleet.change, hostname)

    def set_fault(self, hostname: str, fault: Fault | None) -> None:
        """Give a device a fault, or none."""
        self._call(self._fleet.set_fault, hostname, fault)

    def log(self, hostname: str) -> dict[str, Any]:
        """What happened to a device."""
        return self._call(self._fleet.log, hostname)

    def config(self, hostname: str, view: str = MAIN) -> str:
        """A device's text as its latest read showed it."""
        return self._call(self._fleet.config, hostname, view)

    def secrets(self, hostname: str) -> frozenset[str]:
        """Every secret that stood in a device's texts up to now."""
        return self._call(self._fleet.secrets, hostname)

    def _call(self, function: Callable[..., _T], *arguments: Any) -> _T:
        async def call() -> _T:
            return function(*arguments)

        return self._thread.run(call())


@contextmanager
def fleet_in_thread(
    *specs: DeviceSpec, host_key_file: Path | None = None
) -> Iterator[ThreadedFleet]:
    """Devices in a thread of this process: quick to start, for most tests."""
    fleet = ThreadedFleet(*specs, host_key_file=host_key_file)
    fleet.start()
    try:
        yield fleet
    finally:
        fleet.stop()


@contextmanager
def fleet_in_process(
    *specs: DeviceSpec, host_key_file: Path | None = None
) -> Iterator[SimulatorProcess]:
    """Devices in a child process: for tests that must not share their interpreter lock."""
    with SimulatorProcess(specs, host_key_file=host_key_file) as process:
        yield process
