"""Zones and devices."""

from __future__ import annotations

from typing import Any

from factory.declarations import Sequence, SubFactory
from factory.django import DjangoModelFactory

from credentials.services import tags_ensure
from inventory.models import Device, JumpHost, Zone
from inventory.services import device_save, jump_host_save
from tests.factories.credentials import CredentialFactory


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


class JumpHostFactory(DjangoModelFactory[JumpHost]):
    """A jump host with a credential of its own; ``tags`` are names."""

    class Meta:
        model = JumpHost

    name = Sequence(lambda number: f"jump{number:04}")
    ip_address = "192.0.2.2"
    credential = SubFactory(CredentialFactory)

    @classmethod
    def _create(cls, model_class: type[JumpHost], *args: Any, **kwargs: Any) -> JumpHost:
        tags = tags_ensure(names=kwargs.pop("tags", ()))
        return jump_host_save(jump_host=JumpHost(**kwargs), tags=tags)
