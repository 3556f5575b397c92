"""The Celery application of benchmarks: NetRaven's, with a collector that talks to nobody.

celery -A benchmarks.simulated_worker worker …
"""

from __future__ import annotations

from typing import Any

from celery import signals

from backups.engine.collector import NO_GUARD, LogInGuard, SessionLimits
from backups.engine.types import Collection, CommandOutput, DeviceTarget
from credentials.secret import DeviceCredential
from inventory.platforms import PlatformDefinition
from inventory.platforms.definition import Role
from netraven_site.celery import app as app

_INTERFACES = 20


class SimulatedCollector:
    """Gives a small configuration of Cisco IOS at once, another one for each address."""

    def collect(
        self,
        target: DeviceTarget,
        credential: DeviceCredential,
        platform: PlatformDefinition,
        limits: SessionLimits,
        guard: LogInGuard = NO_GUARD,
    ) -> Collection:
        """The running-config alone; no address is connected to."""
        name = target.address.replace(".", "-")
        ports = [
            f"interface GigabitEthernet1/0/{number}\n description {name}\n!"
            for number in range(_INTERFACES)
        ]
        lines = ["!", "version 15.2", f"hostname {name}", "!", *ports, "end", ""]
        payload = "\n".join(lines).replace("\n", "\r\n").encode()
        output = CommandOutput(command="show running-config", role=Role.RUNNING, payload=payload)
        phases = {"connect": 0.0, "login": 0.0, "collect": 0.0}
        return Collection(outputs=(output,), host_key=None, phase_seconds=phases, prompt=f"{name}#")


@signals.worker_init.connect
def _collect_nothing(**_: Any) -> None:
    from jobs.services import backup

    backup.NetmikoCollector = SimulatedCollector  # type: ignore[attr-defined,assignment]
