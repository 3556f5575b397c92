"""Which devices a question over all configurations is about."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import or_

from django.db.models import Q, QuerySet

from inventory.models import Device


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFilter:
    """What devices have to be; empty values ask for nothing."""

    #: Names of tags in any case, of which a device has to carry one, or all if ``all_tags``.
    tags: tuple[str, ...] = ()
    all_tags: bool = False
    #: As Netmiko names it, for example ``cisco_ios``.
    platform: str = ""
    #: Name of the zone.
    zone: str = ""
    #: Part of the hostname, in any case.
    hostname: str = ""


def devices_filtered(
    *, device_filter: DeviceFilter, scope: QuerySet[Device] | None = None
) -> QuerySet[Device]:
    """The active devices of ``scope`` (None = of all) that ``device_filter`` lets through."""
    devices = Device.objects.all() if scope is None else scope
    devices = devices.filter(is_active=True)
    named = [Q(tags__name__iexact=name) for name in device_filter.tags]
    for one in named if device_filter.all_tags else [reduce(or_, named)] if named else []:
        # Through the keys, so that a device with two of the tags is not there twice.
        devices = devices.filter(pk__in=Device.objects.filter(one).values("pk"))
    if device_filter.platform:
        devices = devices.filter(platform=device_filter.platform)
    if device_filter.zone:
        devices = devices.filter(zone__name=device_filter.zone)
    if device_filter.hostname:
        devices = devices.filter(hostname__icontains=device_filter.hostname)
    return devices
