"""Writing the inventory: devices one by one and from a file."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TextIO

from django.core.exceptions import ValidationError
from django.db import transaction

from credentials.models import Tag
from credentials.services import tags_ensure
from inventory.models import Device, Zone

CSV_COLUMNS = ("hostname", "ip_address", "port", "platform", "tags", "zone", "description")
_REQUIRED_COLUMNS = ("hostname", "ip_address", "platform")


class ImportFailed(Exception):
    """A file was not imported; ``problems`` has one line per bad line of it."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(f"{len(problems)} problems")
        self.problems = problems


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportResult:
    """How many devices an import made and changed."""

    created: int
    updated: int


@transaction.atomic
def device_save(*, device: Device, tags: Iterable[Tag] | None = None) -> Device:
    """Validate and save ``device``; None leaves its tags as they are. Raises ValidationError."""
    device.full_clean()
    device.save()
    if tags is not None:
        device.tags.set(tags)
    return device


def devices_import_csv(*, file: TextIO, dry_run: bool = False) -> ImportResult:
    """Create the devices of a CSV file, or update those whose hostname exists.

    The first line names the columns of CSV_COLUMNS; tags are split by ``;``; a zone that does not
    exist is created. All or nothing: raises ImportFailed that names every bad line, and nothing
    was changed then. ``dry_run`` checks and changes nothing.
    """
    rows = _read_rows(file)
    with transaction.atomic():
        result = _import_rows(rows)
        if dry_run:
            transaction.set_rollback(True)
    return result


def _read_rows(file: TextIO) -> list[tuple[int, dict[str, str]]]:
    reader = csv.DictReader(file, strict=True)
    try:
        names = [name.strip().lower() for name in reader.fieldnames or []]
        _check_columns(names)
        reader.fieldnames = names
        return [(reader.line_num, _clean_row(row, reader.line_num)) for row in reader]
    except csv.Error as error:
        raise ImportFailed([f"line {reader.line_num}: not valid CSV: {error}"]) from None
    except UnicodeDecodeError:
        raise ImportFailed(["the file is not UTF-8 text; save it as UTF-8 and try again"]) from None


def _check_columns(names: list[str]) -> None:
    problems = [
        f"line 1: the column '{name}' is missing" for name in _REQUIRED_COLUMNS if name not in names
    ]
    problems += [
        f"line 1: there is no column '{name}'; the columns are {', '.join(CSV_COLUMNS)}"
        for name in names
        if name not in CSV_COLUMNS
    ]
    problems += [
        f"line 1: the column '{name}' stands twice"
        for name in sorted(set(names))
        if names.count(name) > 1
    ]
    if problems:
        raise ImportFailed(problems)


def _clean_row(row: Mapping[str | Any, str | Any], line: int) -> dict[str, str]:
    if None in row:
        raise ImportFailed([f"line {line}: there are more values than columns"])
    if any(value is None for value in row.values()):
        raise ImportFailed([f"line {line}: there are fewer values than columns"])
    return {name: value.strip() for name, value in row.items()}


def _import_rows(rows: list[tuple[int, dict[str, str]]]) -> ImportResult:
    problems: list[str] = []
    seen: dict[str, int] = {}
    created = 0
    existing = {device.hostname.lower(): device for device in Device.objects.all()}
    zones = {zone.name: zone for zone in Zone.objects.all()}
    for line, row in rows:
        name = row["hostname"].lower()
        if name in seen:
            problems.append(
                f"line {line}: hostname '{row['hostname']}' stands in line {seen[name]} already"
            )
            continue
        seen[name] = line
        created += name not in existing
        try:
            with transaction.atomic():
                _import_row(row, existing.get(name) or Device(), zones)
        except ValidationError as error:
            problems += [f"line {line}: {reason}" for reason in _reasons(error)]
    if not rows:
        problems.append("the file has no devices")
    if problems:
        raise ImportFailed(problems)
    return ImportResult(created=created, updated=len(rows) - created)


def _import_row(row: dict[str, str], device: Device, zones: dict[str, Zone]) -> None:
    device.hostname = device.hostname or row["hostname"]
    device.ip_address = row["ip_address"]
    device.platform = row["platform"]
    if row.get("port"):
        device.port = _port(row["port"])
    if "description" in row:
        device.description = row["description"]
    if "zone" in row:
        device.zone = _zone(row["zone"], zones)
    tags = tags_ensure(names=row["tags"].split(";")) if "tags" in row else None
    device_save(device=device, tags=tags)


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 5:
        raise ValidationError({"port": f"'{text[:20]}' is no port; it is a number from 1 to 65535."})
    return int(text)


def _zone(name: str, zones: dict[str, Zone]) -> Zone | None:
    if not name:
        return None
    if name not in zones:
        zone = Zone(name=name)
        try:
            zone.full_clean()
        except ValidationError as error:
            raise ValidationError({"zone": error.messages}) from error
        zone.save()
        zones[name] = zone
    return zones[name]


def _reasons(error: ValidationError) -> list[str]:
    if not hasattr(error, "error_dict"):
        return list(error.messages)
    return [
        f"{field}: {message}" if field != "__all__" else message
        for field, messages in error.message_dict.items()
        for message in messages
    ]
