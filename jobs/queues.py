"""The names of the queues, for tasks, workers and the people who start them."""

from __future__ import annotations

#: Starts, advances and ends runs; never behind devices.
CONTROL_QUEUE = "control"
#: Devices without a zone.
DEVICES_QUEUE = "devices"
#: Devices that have cost a worker its life, each in a process of its own.
ISOLATED_QUEUE = "isolated"
#: What needs the Git store; served where it lives.
GIT_QUEUE = "git"
_ZONE_PREFIX = "zone."


def zone_queue(name: str) -> str:
    """The queue of the devices in the zone called ``name``."""
    return f"{_ZONE_PREFIX}{name}"


def zone_of(queue: str) -> str | None:
    """The zone whose devices wait in ``queue``; None for any other queue."""
    return queue.removeprefix(_ZONE_PREFIX) if queue.startswith(_ZONE_PREFIX) else None
