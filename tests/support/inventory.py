"""Inventory rows for simulated devices."""

from __future__ import annotations

from credentials.models import Credential
from credentials.services import credential_create, tags_ensure
from inventory.models import Device
from inventory.services import device_save
from jobs.models import Job
from jobs.schedules import job_save_scheduled
from netraven_site.demo.simulator import DeviceSpec

TAG = "lab"


def add_device(spec: DeviceSpec, address: str, port: int, **fields: object) -> Device:
    """The device of ``spec`` with the tag TAG."""
    values: dict[str, object] = {
        "hostname": spec.hostname,
        "ip_address": address,
        "port": port,
        "platform": spec.platform,
    }
    device = Device(**(values | fields))
    return device_save(device=device, tags=tags_ensure(names=[TAG]))


def add_credential(spec: DeviceSpec, name: str = "lab-login", priority: int = 100) -> Credential:
    """The credential that opens ``spec``, with the tag TAG."""
    return credential_create(
        name=name,
        username=spec.username,
        password=spec.password,
        enable_secret=spec.enable_secret,
        tags=tags_ensure(names=[TAG]),
        priority=priority,
    )


def add_job(name: str = "nightly") -> Job:
    """A job over the devices with the tag TAG."""
    return job_save_scheduled(job=Job(name=name), tags=tags_ensure(names=[TAG]))
