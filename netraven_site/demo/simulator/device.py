"""One simulated device: its texts, its faults and what happened to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import asyncssh

from netraven_site.demo.simulator.configs.layout import CLOCK, DRIFT, MAIN
from netraven_site.demo.simulator.configs.sizing import RENDERERS, filler_for, port_count
from netraven_site.demo.simulator.dialect import Dialect
from netraven_site.demo.simulator.dialects import DIALECTS
from netraven_site.demo.simulator.faults import Fault, FaultKind
from netraven_site.demo.simulator.secretbook import SecretBook
from netraven_site.demo.simulator.shell import Shell
from netraven_site.demo.simulator.spec import DeviceSpec
from netraven_site.demo.simulator.state import apply_change, initial_state
from netraven_site.demo.simulator.texts import encode


@dataclass(slots=True)
class DeviceLog:
    """What happened to a device since it started.

    Attributes:
        connections: TCP connections accepted, refused ones included.
        login_attempts: passwords and public keys that were tried.
        logins: attempts that were let in.
        config_sessions: log-ins that asked for the configuration at least once.
        config_reads: how often the configuration was asked for.
        concurrent: connections open now.
        concurrent_max: the most that were open at once.
        commands: how often each command was typed; what the device does not know counts as
            `(unknown)`, so that a password typed in the wrong place is not kept.
        delayed: commands whose answer the fault `slow` has held back, or holds back now.
    """

    connections: int = 0
    login_attempts: int = 0
    logins: int = 0
    config_sessions: int = 0
    config_reads: int = 0
    concurrent: int = 0
    concurrent_max: int = 0
    commands: Counter[str] = field(default_factory=Counter)
    delayed: int = 0

    def connected(self) -> None:
        """Count a connection in."""
        self.connections += 1
        self.concurrent += 1
        self.concurrent_max = max(self.concurrent_max, self.concurrent)

    def disconnected(self) -> None:
        """Count a connection out."""
        self.concurrent -= 1

    def as_dict(self) -> dict[str, object]:
        """The counters for JSON."""
        return {
            "connections": self.connections,
            "login_attempts": self.login_attempts,
            "logins": self.logins,
            "config_sessions": self.config_sessions,
            "config_reads": self.config_reads,
            "concurrent": self.concurrent,
            "concurrent_max": self.concurrent_max,
            "commands": dict(self.commands),
            "delayed": self.delayed,
        }


class SimulatedDevice:
    """A device with a configuration that can be read and changed.

    Texts are rendered once after each change and only copied at a read, so that a read costs
    little more than its bytes.

    Args:
        spec: what the device is.
    """

    def __init__(self, spec: DeviceSpec) -> None:
        self.spec = spec
        self.dialect: Dialect = DIALECTS[spec.platform]
        self.fault: Fault | None = spec.fault
        self.refusals_left = _refusals(spec.fault)
        self.log = DeviceLog()
        self.authorized_key = (
            asyncssh.import_public_key(spec.authorized_key) if spec.authorized_key else None
        )
        self._secrets = SecretBook(spec.seed, spec.hostname)
        self._state = initial_state(spec.hostname, spec.seed, spec.username, port_count(spec.lines))
        self._filler = filler_for(spec.platform, self._state, self._secrets, spec.lines)
        self._changed_at = datetime.now(UTC)
        self._reads = 0
        self._rendered: dict[str, bytes] = {}

    def __repr__(self) -> str:
        return f"SimulatedDevice({self.spec.hostname!r}, {self.spec.platform!r})"

    @property
    def views(self) -> Mapping[str, bytes]:
        """All texts with CR LF; volatile parts are still marks."""
        if not self._rendered:
            self._rendered = self._render()
        return self._rendered

    @property
    def secrets(self) -> frozenset[str]:
        """Every secret that stood in this device's texts up to now, in each printed form."""
        _ = self.views
        return self._secrets.handed_out

    def read(self, view: str = MAIN) -> bytes:
        """One read of a text; moves the clock that volatile lines show."""
        self._reads += 1
        return self._filled(view)

    def text(self, view: str = MAIN) -> str:
        """A text as the latest read showed it, with `\\n`."""
        return self._filled(view).decode("utf-8").replace("\r\n", "\n")

    def change(self) -> list[str]:
        """Alter the configuration as a working day does.

        Returns:
            One sentence per thing that was changed.
        """
        sentences = apply_change(self._state, self._secrets)
        self._changed_at = datetime.now(UTC)
        self._rendered = {}
        return sentences

    def set_fault(self, fault: Fault | None) -> None:
        """From now on the device has this fault, or none."""
        self.fault = fault
        self.refusals_left = _refusals(fault)

    def has_fault(self, kind: FaultKind) -> bool:
        """Is this the present fault?"""
        return self.fault is not None and self.fault.kind is kind

    def new_shell(self) -> Shell:
        """The command line of a fresh log-in."""
        return Shell(
            self.dialect,
            self,
            hostname=self.spec.hostname,
            username=self.spec.username,
            enable_secret=self.spec.enable_secret,
        )

    def _render(self) -> dict[str, bytes]:
        views = RENDERERS[self.spec.platform](self._state, self._secrets, self._filler)
        texts = {name: "\n".join(lines) + "\n" for name, lines in views.items()}
        serial = f"{2200 + self._state.host_number}{self._state.site:04d}"
        texts["version"] = self.dialect.version.format(
            host=self.spec.hostname, uptime=DRIFT, serial=serial
        )
        return {name: encode(text) for name, text in texts.items()}

    def _filled(self, view: str) -> bytes:
        shown = self._changed_at + timedelta(seconds=self._reads)
        clock = shown.strftime(self.dialect.clock).encode()
        drift = str(1000 + self._reads % 9000).encode()
        return self.views[view].replace(CLOCK.encode(), clock).replace(DRIFT.encode(), drift)


def _refusals(fault: Fault | None) -> int:
    return fault.value if fault is not None and fault.kind is FaultKind.FLAKY else 0
