"""Reading devices, and finding out which way leads to which device."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple, TypedDict

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import (
    BigIntegerField,
    Case,
    Count,
    Expression,
    F,
    Max,
    OuterRef,
    Q,
    QuerySet,
    When,
)
from django.db.models.functions import Coalesce
from django_stubs_ext import WithAnnotations

from common.statements import Statement
from common.texts import parsed_id
from credentials.models import Credential, Tag
from inventory.models import Device, JumpHost

_JUMP_HOSTS = Statement(lambda: JumpHost.objects.select_related("credential"))


class Uses(TypedDict):
    """What ``credentials_with_uses`` adds to a credential; times None for never."""

    #: Devices that took it last, and devices that refused it last.
    accepted_count: int
    refused_count: int
    last_success_at: datetime | None
    last_failure_at: datetime | None


class DeviceNotFound(Exception):
    """No device has that hostname. The message says what to do."""


def device_get(*, hostname: str) -> Device:
    """The device with this hostname, in any case. Raises DeviceNotFound."""
    device = Device.objects.filter(hostname__iexact=hostname).first()
    if device is None:
        raise _no_device(hostname)
    return device


def device_find(*, hostname_or_id: str, scope: QuerySet[Device] | None = None) -> Device:
    """The device with this hostname, in any case, or else with this id.

    Raises DeviceNotFound, also for one outside ``scope`` (None = all).
    """
    if "\x00" in hostname_or_id:  # the database would refuse the question
        raise _no_device(hostname_or_id)
    devices = Device.objects.all() if scope is None else scope
    device = devices.filter(hostname__iexact=hostname_or_id).first()
    if device is None and (device_id := parsed_id(hostname_or_id)) is not None:
        device = devices.filter(pk=device_id).first()
    if device is None:
        raise _no_device(hostname_or_id)
    return device


def _no_device(hostname: str) -> DeviceNotFound:
    return DeviceNotFound(f"there is no device '{hostname}'; the hostname is matched as a whole")


def device_at(*, address: str, port: int) -> Device | None:
    """The device that is managed at this address and port, the first one by hostname."""
    return Device.objects.filter(ip_address__iexact=address, port=port).first()


def host_key_owners(*, name: str) -> list[Device | JumpHost]:
    """The device with this hostname, in any case, and the jump host with this name."""
    found: list[Device | JumpHost] = list(Device.objects.filter(hostname__iexact=name))
    return found + list(JumpHost.objects.filter(name=name))


def devices_with_tags(*, tags: Iterable[Tag]) -> QuerySet[Device]:
    """The active devices that carry at least one of ``tags``, each once, by hostname."""
    return Device.objects.filter(is_active=True, tags__in=list(tags)).distinct()


def with_names(*, devices: QuerySet[Any]) -> QuerySet[Any]:
    """``devices``, each with ``zone_name`` (None without a zone) and ``tag_names``, in order.

    For lists that show nothing else of zones and tags: to make a row of each for each device takes
    longer than all else of a list.
    """
    carried = Tag.objects.filter(devices=OuterRef("pk")).order_by("name")
    return devices.annotate(
        zone_name=F("zone__name"), tag_names=ArraySubquery(carried.values("name"))
    )


def credentials_with_uses(
    *, credentials: QuerySet[Credential], scope: QuerySet[Device] | None = None
) -> QuerySet[WithAnnotations[Credential, Uses]]:
    """``credentials`` with their tags and how the devices of ``scope`` (None = all) answered."""
    seen = Q() if scope is None else Q(uses__device__in=scope.order_by().values("pk"))
    refused = Q(uses__last_success_at=None) | Q(
        uses__last_failure_at__gt=F("uses__last_success_at")
    )
    refused &= Q(uses__last_failure_at__isnull=False)
    found: QuerySet[WithAnnotations[Credential, Uses]] = credentials.prefetch_related(
        "tags"
    ).annotate(
        accepted_count=Count("uses", filter=seen & ~refused),
        refused_count=Count("uses", filter=seen & refused),
        last_success_at=Max("uses__last_success_at", filter=seen),
        last_failure_at=Max("uses__last_failure_at", filter=seen),
    )
    return found


def jump_hosts_of(*, device_ids: Iterable[int]) -> dict[int, tuple[JumpHost, ...]]:
    """For each device the jump hosts on the way to it, nearest to us first; 4 queries at the most.

    A device's own jump host goes before those that share a tag with it, of which the first by name
    counts. One that is reached through another brings that one with it; two are the most. Empty
    for a device that is reached directly. The credentials are loaded.
    """
    ids = list(device_ids)
    hosts = {host.pk: host for host in _JUMP_HOSTS.all()}
    if not hosts:
        return dict.fromkeys(ids, ())
    own = dict(Device.objects.filter(pk__in=ids).values_list("pk", "jump_host_id"))
    tags_of_device = _tags_of(Device.tags.through, "device_id", ids)
    by_tag: dict[int, list[JumpHost]] = defaultdict(list)
    for host_id, tags in _tags_of(JumpHost.tags.through, "jumphost_id", hosts).items():
        for tag_id in tags:
            by_tag[tag_id].append(hosts[host_id])
    ways = {}
    for device_id in ids:
        shared = [host for tag in tags_of_device[device_id] for host in by_tag[tag]]
        last = hosts.get(own.get(device_id) or 0) or min(
            shared, key=lambda host: host.name, default=None
        )
        ways[device_id] = _way(last, hosts)
    return ways


class WaysOfAll(NamedTuple):
    """The ways to more devices than are looked at one by one."""

    #: The id of the jump host next to the device of a row; None where it is reached directly.
    last_host: Expression
    #: The jump hosts on the way, nearest to us first, by the id of the last.
    by_last_host: Mapping[int, tuple[JumpHost, ...]]


def ways_of_all(*, path: str) -> WaysOfAll:
    """The same as ``jump_hosts_of``, for the rows of a query; two queries.

    ``path`` leads from a row to its device.
    """
    hosts = {host.pk: host for host in _JUMP_HOSTS.all()}
    carried = Device.tags.through.objects.order_by().values("device_id")
    tags = _tags_of(JumpHost.tags.through, "jumphost_id", hosts) if hosts else {}
    shared = Case(
        *(
            When(**{f"{path}__in": carried.filter(tag__in=list(tags[host.pk]))}, then=host.pk)
            for host in sorted(hosts.values(), key=lambda host: host.name)
            if host.pk in tags
        ),
        output_field=BigIntegerField(null=True),
    )
    return WaysOfAll(
        Coalesce(F(f"{path}__jump_host_id"), shared, output_field=BigIntegerField(null=True)),
        {pk: _way(host, hosts) for pk, host in hosts.items()},
    )


def _way(last: JumpHost | None, hosts: dict[int, JumpHost]) -> tuple[JumpHost, ...]:
    if last is None:
        return ()
    return (last,) if last.via_id is None else (hosts[last.via_id], last)


def _tags_of(through: type, column: str, ids: Iterable[int]) -> dict[int, dict[int, str]]:
    """Tags by owner: ``{owner id: {tag id: tag name}}``."""
    rows = through.objects.filter(**{f"{column}__in": list(ids)})  # type: ignore[attr-defined]  # a model
    tags: dict[int, dict[int, str]] = defaultdict(dict)
    for owner_id, tag_id, name in rows.values_list(column, "tag_id", "tag__name"):
        tags[owner_id][tag_id] = name
    return tags
