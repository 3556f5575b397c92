"""The network of the demo: which simulated devices there are, and their inventory."""

from __future__ import annotations

import csv
import io
import secrets

from credentials.services import credential_create, tags_ensure
from inventory.imports import file_import
from jobs.models import Job
from jobs.schedules import job_save_scheduled
from netraven_site.demo.simulator import DeviceSpec, SimulatorProcess

TAG = "demo"
JOB_NAME = "nightly backup"
USERNAME = "netraven"

#: How many devices of each platform, and how their hostnames begin.
_DEVICES = {
    "cisco_ios": ("access-sw", 8),
    "cisco_nxos": ("core-sw", 4),
    "arista_eos": ("leaf", 4),
    "juniper_junos": ("edge-mx", 3),
    "vyos": ("branch-fw", 2),
    "frr": ("route-server", 2),
    "linux": ("jump-host", 1),
}


def device_specs() -> list[DeviceSpec]:
    """The devices, all opened by one user name and a password made now."""
    password = secrets.token_urlsafe(12)
    return [
        DeviceSpec(
            hostname=f"{name}-{number:02}",
            platform=platform,
            username=USERNAME,
            password=password,
        )
        for platform, (name, count) in _DEVICES.items()
        for number in range(1, count + 1)
    ]


def create_inventory(specs: list[DeviceSpec], simulator: SimulatorProcess) -> Job:
    """Import the devices the way a user does, with a credential and a job that share a tag."""
    file_import(text=_as_csv(specs, simulator))
    tags = tags_ensure(names=[TAG])
    credential_create(name="demo log-in", username=USERNAME, password=specs[0].password, tags=tags)
    return job_save_scheduled(job=Job(name=JOB_NAME), tags=tags)


def _as_csv(specs: list[DeviceSpec], simulator: SimulatorProcess) -> str:
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(["hostname", "ip_address", "port", "platform", "tags"])
    for spec in specs:
        address, port = simulator.address(spec.hostname)
        writer.writerow([spec.hostname, address, port, spec.platform, TAG])
    return file.getvalue()
