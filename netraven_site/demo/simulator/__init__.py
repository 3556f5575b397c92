"""Simulated network devices: a real SSH server with made-up configurations.

For the demo, the tests and the benchmarks. `Fleet` runs in the caller's event loop;
`process.SimulatorProcess` runs `python -m netraven_site.demo.simulator` as a child.
"""

from __future__ import annotations

from netraven_site.demo.simulator.errors import SimulatorError
from netraven_site.demo.simulator.faults import Fault, FaultKind
from netraven_site.demo.simulator.fleet import Fleet
from netraven_site.demo.simulator.process import SimulatorProcess
from netraven_site.demo.simulator.spec import DeviceSpec

__all__ = [
    "DeviceSpec",
    "Fault",
    "FaultKind",
    "Fleet",
    "SimulatorError",
    "SimulatorProcess",
]
