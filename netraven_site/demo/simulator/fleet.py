"""All simulated devices of one process."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Self

import asyncssh

from netraven_site.demo.simulator.configs.layout import MAIN
from netraven_site.demo.simulator.device import SimulatedDevice
from netraven_site.demo.simulator.errors import SimulatorError
from netraven_site.demo.simulator.faults import Fault
from netraven_site.demo.simulator.hostkeys import HostKeys
from netraven_site.demo.simulator.server import DeviceServer
from netraven_site.demo.simulator.spec import DeviceSpec


class Fleet:
    """Devices that listen in the running event loop; all calls belong in its thread.

    Args:
        specs: the devices; hostnames have to differ.
        host_key_file: keeps the host keys over restarts; None for new keys at each start.

    Raises:
        SimulatorError: two devices of one name, or a key file that cannot be used.
    """

    def __init__(self, specs: Iterable[DeviceSpec], *, host_key_file: Path | None = None) -> None:
        self._keys = HostKeys(host_key_file)
        self._servers: dict[str, DeviceServer] = {}
        for spec in specs:
            if spec.hostname in self._servers:
                raise SimulatorError(f"two devices are called {spec.hostname}: rename one")
            self._servers[spec.hostname] = DeviceServer(
                SimulatedDevice(spec), self._keys.key_of(spec.hostname)
            )

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def hostnames(self) -> tuple[str, ...]:
        """The devices in the order of their specs."""
        return tuple(self._servers)

    async def start(self, listening: Callable[[str], None] | None = None) -> None:
        """Start all devices, or none.

        Args:
            listening: is called with each hostname as soon as it listens.

        Raises:
            SimulatorError: a device cannot listen; those started before are stopped again.
        """
        asyncssh.set_log_level("WARNING")  # it tells every step of every connection at INFO
        self._keys.save()
        try:
            for hostname, server in self._servers.items():
                await server.start()
                if listening is not None:
                    listening(hostname)
        except SimulatorError:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop all devices and cut their connections."""
        for server in self._servers.values():
            await server.stop()

    def device(self, hostname: str) -> SimulatedDevice:
        """The device of that name.

        Raises:
            SimulatorError: there is none.
        """
        return self._server(hostname).device

    def address(self, hostname: str) -> tuple[str, int]:
        """IP address and TCP port of a device that was started."""
        return self._server(hostname).address

    def fingerprint(self, hostname: str) -> str:
        """`SHA256:...` of a device's true host key."""
        return self._server(hostname).fingerprint

    def change(self, hostname: str) -> list[str]:
        """Alter a device's configuration; returns a sentence per change."""
        return self.device(hostname).change()

    def set_fault(self, hostname: str, fault: Fault | None) -> None:
        """Give a device a fault, or none."""
        self._server(hostname).set_fault(fault)

    def log(self, hostname: str) -> dict[str, object]:
        """What happened to a device, see `DeviceLog`."""
        return self.device(hostname).log.as_dict()

    def config(self, hostname: str, view: str = MAIN) -> str:
        """A device's text as its latest read showed it, with `\\n`.

        Raises:
            SimulatorError: the device has no such text.
        """
        device = self.device(hostname)
        if view not in device.views:
            raise SimulatorError(
                f"{hostname} has no text {view!r}; use one of: {', '.join(sorted(device.views))}"
            )
        return device.text(view)

    def secrets(self, hostname: str) -> frozenset[str]:
        """Every secret that stood in a device's texts up to now."""
        return self.device(hostname).secrets

    def _server(self, hostname: str) -> DeviceServer:
        try:
            return self._servers[hostname]
        except KeyError:
            raise SimulatorError(f"no device is called {hostname!r}") from None
