"""Writing devices into files: CSV that can be imported again, JSON, an inventory for Ansible."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import Any, Final

import yaml
from django.db.models import QuerySet

from common.csv_output import csv_lines
from inventory.formats import CSV_COLUMNS
from inventory.models import Device, Transport
from inventory.platforms import UnknownPlatform, get_platform

_DEVICES_AT_ONCE = 1_000
#: Other signs have a meaning in names of hosts and groups: ranges, patterns, templates.
_HOST_SIGNS = re.compile(r"[^A-Za-z0-9._:@-]")
_GROUP_SIGNS = re.compile(r"[^A-Za-z0-9_]")
#: Values of ansible_network_os by platform, as the collections document them.
_ANSIBLE_NETWORK_OS: Final[Mapping[str, str]] = {
    "arista_eos": "arista.eos.eos",
    "aruba_aoscx": "arubanetworks.aoscx.aoscx",
    "cisco_asa": "cisco.asa.asa",
    "cisco_ios": "cisco.ios.ios",
    "cisco_nxos": "cisco.nxos.nxos",
    "cisco_xe": "cisco.ios.ios",
    "cisco_xr": "cisco.iosxr.iosxr",
    "dell_force10": "dellemc.os9.os9",
    "dell_os10": "dellemc.os10.os10",
    "dell_os6": "dellemc.os6.os6",
    "dell_sonic": "dellemc.enterprise_sonic.sonic",
    "extreme_exos": "community.network.exos",
    "extreme_slx": "community.network.slxos",
    "extreme_vsp": "community.network.voss",
    "frr": "frr.frr.frr",
    "huawei": "community.network.ce",
    "juniper_junos": "junipernetworks.junos.junos",
    "mikrotik_routeros": "community.routeros.routeros",
    "nokia_sros": "community.network.sros",
    "ruckus_fastiron": "community.network.icx",
    "ubiquiti_edgerouter": "community.network.edgeos",
    "ubiquiti_edgeswitch": "community.network.edgeswitch",
    "vyos": "vyos.vyos.vyos",
}


class ExportFormat(StrEnum):
    """What is written."""

    CSV = "csv"
    JSON = "json"
    ANSIBLE = "ansible"


def devices_export(*, devices: QuerySet[Device], kind: ExportFormat) -> Iterator[str]:
    """The text of a file with ``devices``, in parts; it holds no secret."""
    return _WRITERS[kind](_rows(devices))


def _rows(devices: QuerySet[Device]) -> Iterator[Device]:
    related = devices.select_related("zone", "credential", "jump_host").prefetch_related("tags")
    yield from related.iterator(chunk_size=_DEVICES_AT_ONCE)


def device_cells(*, devices: QuerySet[Device]) -> Iterator[list[Any]]:
    """Per device what stands in CSV_COLUMNS, not yet safe for a spreadsheet."""
    return map(_cells, _rows(devices))


def _cells(device: Device) -> list[Any]:
    values = _values(device).values()
    return [";".join(value) if isinstance(value, list) else value for value in values]


def _as_csv(devices: Iterator[Device]) -> Iterator[str]:
    return csv_lines(CSV_COLUMNS, map(_cells, devices))


def _as_json(devices: Iterator[Device]) -> Iterator[str]:
    yield "["
    for number, device in enumerate(devices):
        yield ("," if number else "") + "\n" + json.dumps(_values(device))
    yield "\n]\n"


def _values(device: Device) -> dict[str, Any]:
    """What a person says about a device, by the columns of an import."""
    values: dict[str, Any] = {}
    for name in CSV_COLUMNS:
        if name == "tags":
            values[name] = [tag.name for tag in device.tags.all()]
        elif name in {"zone", "credential", "jump_host"}:
            related = getattr(device, name)
            values[name] = None if related is None else related.name
        else:
            values[name] = getattr(device, name)
    return values


def _as_ansible(devices: Iterator[Device]) -> Iterator[str]:
    """A YAML inventory of the active devices, in groups by tag, platform and zone.

    Ansible reads a value as a template, and a name as a pattern. So no free text of a device is
    among the values, and a hostname with other signs than those of names is written with ``_``.
    """
    hosts: dict[str, dict[str, Any]] = {}
    groups: dict[str, dict[str, Any]] = defaultdict(dict)
    for device in devices:
        if not device.is_active:
            continue
        name = _HOST_SIGNS.sub("_", device.hostname)
        if name in hosts:
            name = f"{name}_{device.pk}"
        hosts[name] = _host_variables(device)
        for kind, members in {
            "tag": [tag.name for tag in device.tags.all()],
            "platform": [device.platform],
            "zone": [device.zone.name] if device.zone else [],
        }.items():
            for member in members:
                groups[f"{kind}_{_GROUP_SIGNS.sub('_', member)}"][name] = {}
    children = {group: {"hosts": members} for group, members in sorted(groups.items())}
    yield yaml.safe_dump({"all": {"hosts": hosts, "children": children}}, sort_keys=False)


def _host_variables(device: Device) -> dict[str, Any]:
    variables: dict[str, Any] = {"ansible_host": device.ip_address, "ansible_port": device.port}
    network_os = _ANSIBLE_NETWORK_OS.get(_platform_name(device.platform))
    if network_os is not None and device.transport == Transport.SSH:
        variables["ansible_connection"] = "ansible.netcommon.network_cli"
        variables["ansible_network_os"] = network_os
    return {**variables, "netraven_id": device.pk, "netraven_platform": device.platform}


def _platform_name(name: str) -> str:
    """The name behind an alias; the name itself if it is known no more."""
    try:
        return get_platform(name).name
    except UnknownPlatform:
        return name


_WRITERS: Final[Mapping[ExportFormat, Callable[[Iterator[Device]], Iterator[str]]]] = {
    ExportFormat.CSV: _as_csv,
    ExportFormat.JSON: _as_json,
    ExportFormat.ANSIBLE: _as_ansible,
}
