"""Devices, seen by the age of their last backup."""

from __future__ import annotations

from inventory.models import Device


class DeviceFreshness(Device):
    """A device with its last backup; ``backups.selectors.freshness`` adds what is shown."""

    class Meta:
        proxy = True
        ordering = ["hostname"]
        default_permissions = ("view",)
        verbose_name = "freshness of a device"
        verbose_name_plural = "freshness of devices"
