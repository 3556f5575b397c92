"""Zones and devices."""

from __future__ import annotations

from typing import Any

from factory.declarations import Sequence
from factory.django import DjangoModelFactory

from credentials.services import tags_ensure
from inventory.models import Device, Zone
from inventory.services import device_save


class ZoneFactory(DjangoModelFactory[Zone]):
    """A zone."""

    class Meta:
        model = Zone

    name = Sequence(lambda number: f"zone{number}")


class DeviceFactory(DjangoModelFactory[Device]):
    """A device at an address that no test connects to; ``tags`` are names."""

    class Meta:
        model = Device

    hostname = Sequence(lambda number: f"device{number:04}")
    ip_address = "192.0.2.1"
    platform = "cisco_ios"

    @classmethod
    def _create(cls, model_class: type[Device], *args: Any, **kwargs: Any) -> Device:
        tags = tags_ensure(names=kwargs.pop("tags", ()))
        return device_save(device=Device(**kwargs), tags=tags)
