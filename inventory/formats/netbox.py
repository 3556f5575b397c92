"""Devices as NetBox's API answers them at ``/api/dcim/devices/`` (NetBox 2.10 to 4)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from inventory.formats.platform_names import LEFT_OUT, ForeignPlatforms, UnknownPlatformName
from inventory.formats.records import DeviceRecord, FileUnreadable, Reading, quoted

_ACTIVE = "active"


def read_netbox(text: str, *, platforms: ForeignPlatforms) -> Reading:
    """The devices of a list, or of an answer with ``results``.

    Site and tags become tags, by slug; devices whose status is not ``active`` are inactive. Left
    out is what cannot be backed up: without a name, a primary IP address or a platform. Raises
    FileUnreadable for what is no such answer.
    """
    reading = Reading()
    for number, entry in enumerate(_entries(text, reading), 1):
        place = f"device {number}"
        if not isinstance(entry, Mapping):
            reading.problems.append(f"{place}: not an object")
            continue
        _read_entry(entry, place, reading, platforms)
    if not reading.records and not reading.problems and not reading.left_out:
        reading.problems.append("the file has no devices")
    return reading


def _entries(text: str, reading: Reading) -> list[Any]:
    try:
        data = json.loads(text)
    except RecursionError:
        raise FileUnreadable(["not valid JSON: nested too deeply"]) from None
    except ValueError as error:
        raise FileUnreadable([f"not valid JSON: {error}"]) from None
    if isinstance(data, Mapping):
        if data.get("next"):
            reading.note(
                f"this is one page of {data.get('count')} devices; ask NetBox with ?limit=0 for all"
            )
        data = data.get("results")
    if not isinstance(data, list):
        raise FileUnreadable(["neither a list of devices nor an answer of NetBox with 'results'"])
    return data


def _read_entry(
    entry: Mapping[str, Any], place: str, reading: Reading, platforms: ForeignPlatforms
) -> None:
    name = _text(entry.get("name"))
    where = f"{place} ({quoted(name)})" if name else f"{place} (id {quoted(entry.get('id'))})"
    address = next(
        filter(None, (_address(entry.get(f"primary_ip{one}")) for one in ("", "4", "6"))), ""
    )
    slug = _slug(entry.get("platform"))
    missing = {"name": name, "primary IP address": address, "platform": slug}
    lacking = [what for what, value in missing.items() if not value]
    if lacking:
        reading.left_out.append(f"{where}: it has no {' and no '.join(lacking)}")
        return
    try:
        platform = platforms.platform(slug)
    except UnknownPlatformName as error:
        reading.problems.append(f"{where}: {error}")
        return
    if platform == LEFT_OUT:
        reading.left_out.append(f"{where}: its platform is to be left out")
        return
    tags = entry.get("tags")
    slugs = [_slug(one) for one in (entry.get("site"), *(tags if isinstance(tags, list) else ()))]
    values: dict[str, Any] = {"is_active": _choice(entry.get("status")) == _ACTIVE}
    if "description" in entry:
        values["description"] = " ".join(_text(entry["description"]).split())
    reading.records.append(
        DeviceRecord(
            place=where,
            hostname=name,
            ip_address=address,
            platform=platform,
            tags=tuple(dict.fromkeys(slug for slug in slugs if slug)),
            values=values,
        )
    )


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def _slug(value: Any) -> str:
    """Of a nested object; old versions write tags as plain texts."""
    return _text(value.get("slug") if isinstance(value, Mapping) else value)


def _choice(value: Any) -> str:
    """Of ``{"value": "active", "label": "Active"}``; without a status a device is active."""
    if value is None:
        return _ACTIVE
    return _text(value.get("value") if isinstance(value, Mapping) else value)


def _address(value: Any) -> str:
    """Without the length of its prefix."""
    text = _text(value.get("address") if isinstance(value, Mapping) else value)
    return text.partition("/")[0]
