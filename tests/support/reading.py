"""Reading one device with the collector, and what is left behind."""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from backups.engine.collector import SessionLimits
from backups.engine.errors import DeviceError
from backups.engine.netmiko_collector import NetmikoCollector
from backups.engine.types import Collection, DeviceTarget, JumpTarget
from credentials.secret import DeviceCredential
from inventory.platforms import get_platform
from tests.support.ssh_host import ADDRESS, PASSWORD, PLATFORM, USERNAME, SshHost
from tests.support.waiting import wait_for

LIMITS = SessionLimits(
    connect_timeout=5,
    login_timeout=5,
    command_timeout=5,
    deadline=20,
    max_output_bytes=2_000_000,
    allowed_networks=(ipaddress.ip_network("127.0.0.0/8"),),
)


def credential(**fields: str | None) -> DeviceCredential:
    """The log-in of an SshHost, unless ``fields`` say something else."""
    values: dict[str, Any] = {"name": "lab", "username": USERNAME, "password": PASSWORD} | fields
    return DeviceCredential(**values)


def device(port: int, **fields: Any) -> DeviceTarget:
    """A device of PLATFORM on loopback, unless ``fields`` say something else."""
    values: dict[str, Any] = {
        "device_id": 1,
        "hostname": "lab-1",
        "address": ADDRESS,
        "port": port,
        "platform": PLATFORM,
    }
    return DeviceTarget(**(values | fields))


def jump(host: SshHost, name: str = "bastion", **fields: Any) -> JumpTarget:
    """``host`` as a jump host, unless ``fields`` say something else."""
    values: dict[str, Any] = {
        "name": name,
        "address": ADDRESS,
        "port": host.port,
        "credential": credential(),
    }
    return JumpTarget(**(values | fields))


def read(
    target: DeviceTarget,
    login: DeviceCredential | None = None,
    *,
    limits: SessionLimits = LIMITS,
) -> Collection:
    """What the collector brings home."""
    platform = get_platform(target.platform)
    return NetmikoCollector().collect(target, login or credential(), platform, limits)


def failure(
    target: DeviceTarget,
    login: DeviceCredential | None = None,
    *,
    limits: SessionLimits = LIMITS,
) -> DeviceError:
    """The error that the collector ends with; one line, without the password."""
    with pytest.raises(DeviceError) as caught:
        read(target, login, limits=limits)
    assert "\n" not in caught.value.message
    assert PASSWORD not in caught.value.message
    return caught.value


@contextmanager
def nothing_left() -> Iterator[None]:
    """Fail if the block leaves a thread or an open file of this process behind."""
    threads, files = set(threading.enumerate()), _open_files()
    yield
    # The watch over deadlines serves all sessions of the process and stays.
    wait_for(
        lambda: (
            {thread.name for thread in set(threading.enumerate()) - threads}
            <= {"session-deadlines"}
        ),
        "the end of the session's threads",
        5,
    )
    wait_for(lambda: _open_files() <= files, "the end of the session's sockets", 5)


def _open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
