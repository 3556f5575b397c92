"""The circuit breaker: a device that cannot be reached again and again is left out for a while.

It counts runs, not attempts. Each further failure after the first break doubles the cool-down; the
first session that comes about, whatever its end, closes the breaker.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from inventory.models import Device

_REASON_LENGTH = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerLimits:
    """When a device is left out, and for how long. Times in seconds."""

    #: Failures in a row that break the circuit; 0 switches the breaker off.
    failures: int
    cooldown_seconds: float
    cooldown_max_seconds: float


def cooldown_seconds(*, failures: int, limits: BreakerLimits) -> float | None:
    """For how long a device is left out after so many failures in a row; None for not at all."""
    if not limits.failures or failures < limits.failures:
        return None
    # 2.0 ** 64 is more than any maximum; the bound keeps the power finite.
    doublings = min(failures - limits.failures, 64)
    return min(limits.cooldown_max_seconds, limits.cooldown_seconds * 2.0**doublings)


@transaction.atomic
def connections_failed(*, reasons: Mapping[int, str], limits: BreakerLimits) -> list[Device]:
    """Count one more failure for the devices in ``reasons`` (one line by device id).

    Gives the devices that are left out from now on, by hostname.
    """
    now = timezone.now()
    devices = list(
        Device.objects.select_for_update(no_key=True)
        .filter(pk__in=reasons)
        .only("pk", "hostname", "connection_failures", "skipped_until", "skip_reason")
        .order_by("pk")
    )
    for device in devices:
        device.connection_failures += 1
        pause = cooldown_seconds(failures=device.connection_failures, limits=limits)
        device.skipped_until = None if pause is None else now + timedelta(seconds=pause)
        device.skip_reason = "" if pause is None else reasons[device.pk][:_REASON_LENGTH]
    Device.objects.bulk_update(
        devices, ["connection_failures", "skipped_until", "skip_reason"], batch_size=1000
    )
    return sorted((one for one in devices if one.skipped_until), key=lambda one: one.hostname)


def devices_lock(*, device_ids: Iterable[int]) -> None:
    """Lock the rows of these devices in one order, so that two runs that end cannot deadlock."""
    rows = Device.objects.select_for_update(no_key=True).filter(pk__in=list(device_ids))
    list(rows.order_by("pk").values_list("pk"))


def connections_made(*, device_ids: Iterable[int]) -> None:
    """Close the breaker of devices that a session came about with."""
    breaker_reset(devices=Device.objects.filter(pk__in=list(device_ids)))


def breaker_reset(*, devices: QuerySet[Device]) -> int:
    """Forget the failures of ``devices``; gives how many had any."""
    return devices.filter(Q(connection_failures__gt=0) | Q(skipped_until__isnull=False)).update(
        connection_failures=0, skipped_until=None, skip_reason=""
    )


def devices_left_out(*, device_ids: Iterable[int]) -> dict[int, Device]:
    """Those of the devices that are left out at this moment, by id."""
    left_out = Device.objects.filter(pk__in=list(device_ids), skipped_until__gt=timezone.now())
    return left_out.only("pk", "skipped_until", "skip_reason", "connection_failures").in_bulk()
