"""Writing the inventory: devices one by one and from a file, jump hosts, host keys."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TextIO, TypeVar

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from credentials.models import Tag
from credentials.services import tags_ensure
from inventory.models import Device, HostKeyChange, HostKeyOwner, JumpHost, Zone

CSV_COLUMNS = ("hostname", "ip_address", "port", "platform", "tags", "zone", "description")
_REQUIRED_COLUMNS = ("hostname", "ip_address", "platform")


_Owner = TypeVar("_Owner", bound=HostKeyOwner)


class HostKeyNotAccepted(Exception):
    """No host key was accepted; the message says why in one line."""


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
    _clean(device)
    device.save()
    if tags is not None:
        device.tags.set(tags)
    return device


def _clean(device: Device) -> None:
    """What ``full_clean`` does, without asking the database for what is known already.

    A related row that is loaded is there, and the validators of the fields have seen port and
    address; the constraints of the database hold all of it in any case.
    """
    device.full_clean(exclude=set(device._state.fields_cache), validate_constraints=False)
    device.validate_constraints(exclude={"port", "ip_address"})


@transaction.atomic
def jump_host_save(*, jump_host: JumpHost, tags: Iterable[Tag] | None = None) -> JumpHost:
    """Validate and save ``jump_host``; None leaves its tags as they are. Raises ValidationError."""
    jump_host.full_clean()
    jump_host.save()
    if tags is not None:
        jump_host.tags.set(tags)
    return jump_host


@transaction.atomic
def host_key_accept(*, owner: _Owner, fingerprint: str, changed_by: str) -> _Owner:
    """Let the host key that was refused be the one of ``owner`` from now on.

    ``fingerprint`` is the one that somebody has compared, with or without the type in front;
    ``changed_by`` names that person. Raises HostKeyNotAccepted when another key is offered by now,
    or none.
    """
    locked = _locked(owner)
    offered = locked.offered_fingerprint
    if not offered:
        raise HostKeyNotAccepted(f"no host key of '{owner}' waits for a decision")
    if fingerprint.strip() not in {offered, offered.partition(" ")[2]}:
        raise HostKeyNotAccepted(
            f"'{owner}' has offered {offered}, which is another key; compare this one"
        )
    _write_change(locked, new_fingerprint=offered, changed_by=changed_by)
    return _set_host_key(locked, locked.offered_host_key)


@transaction.atomic
def host_key_forget(*, owner: _Owner, changed_by: str) -> _Owner:
    """Forget the host key of ``owner``, and the one that waits for a decision.

    The next one is taken as the first: trusted, unless its zone is strict. ``changed_by`` names who
    wants that.
    """
    locked = _locked(owner)
    if locked.host_key:
        _write_change(locked, new_fingerprint="", changed_by=changed_by)
    return _set_host_key(locked, "")


def _locked(owner: _Owner) -> _Owner:
    rows = type(owner)._default_manager.select_for_update(of=("self",), no_key=True)
    locked: _Owner = rows.get(pk=owner.pk)
    return locked


def _set_host_key(owner: _Owner, host_key: str) -> _Owner:
    owner.host_key = host_key
    owner.offered_host_key = ""
    owner.save(update_fields=["host_key", "offered_host_key"])
    return owner


def _write_change(owner: HostKeyOwner, *, new_fingerprint: str, changed_by: str) -> None:
    HostKeyChange.objects.create(
        host=str(owner),
        device=owner if isinstance(owner, Device) else None,
        jump_host=owner if isinstance(owner, JumpHost) else None,
        old_fingerprint=owner.host_key_fingerprint,
        new_fingerprint=new_fingerprint,
        changed_by=changed_by[:200],
    )


def devices_import_csv(*, file: TextIO, dry_run: bool = False) -> ImportResult:
    """Create the devices of a CSV file, or update those whose hostname exists.

    The first line names the columns of CSV_COLUMNS; tags are split by ``;``; a zone that does not
    exist is created. All or nothing: raises ImportFailed that names every bad line, and nothing
    was changed then. ``dry_run`` checks and changes nothing.
    """
    try:
        with transaction.atomic():
            result = _import(*_read_rows(file))
            if dry_run:
                transaction.set_rollback(True)
    except IntegrityError:
        raise ImportFailed(
            ["a hostname is taken, since just now or in other upper and lower case; try again"]
        ) from None
    return result


#: Number of the line and its values by column.
_Row = tuple[int, dict[str, str]]


@dataclass(frozen=True, slots=True)
class _Planned:
    """A device as its line wants it, not saved yet; None leaves its tags as they are."""

    device: Device
    tags: list[Tag] | None


def _read_rows(file: TextIO) -> tuple[list[_Row], list[str]]:
    """The rows that can be read, and one line for each that cannot."""
    reader = csv.DictReader(file, strict=True)
    rows: list[_Row] = []
    problems: list[str] = []
    try:
        names = [name.strip().lower() for name in reader.fieldnames or []]
        _check_columns(names)
        reader.fieldnames = names
        for row in reader:
            problem = _row_problem(row)
            if problem:
                problems.append(f"line {reader.line_num}: {problem}")
                continue
            values = {name: value.strip() for name, value in row.items()}
            rows.append((reader.line_num, values))
    except csv.Error as error:
        problems.append(f"line {reader.line_num}: not valid CSV: {error}")
    except UnicodeDecodeError:
        raise ImportFailed(["the file is not UTF-8 text; save it as UTF-8 and try again"]) from None
    if not rows and not problems:
        problems.append("the file has no devices")
    return rows, problems


def _check_columns(names: list[str]) -> None:
    problems = [
        f"line 1: the column '{name}' is missing" for name in _REQUIRED_COLUMNS if name not in names
    ]
    problems += [
        f"line 1: there is no column {name[:40]!r}; the columns are {', '.join(CSV_COLUMNS)}"
        for name in names
        if name not in CSV_COLUMNS
    ]
    problems += [
        f"line 1: the column '{name}' stands twice" for name in CSV_COLUMNS if names.count(name) > 1
    ]
    if problems:
        raise ImportFailed(problems)


def _row_problem(row: Mapping[str | Any, str | Any]) -> str | None:
    if None in row:
        return "there are more values than columns"
    if any(value is None for value in row.values()):
        return "there are fewer values than columns"
    if any("\x00" in value for value in row.values()):
        return "there is a NUL character in it"
    return None


def _import(rows: list[_Row], problems: list[str]) -> ImportResult:
    planned = _plan(rows, problems)
    if problems:
        raise ImportFailed(problems)
    created = sum(entry.device.pk is None for entry in planned)
    for entry in planned:
        entry.device.save()
        if entry.tags is not None:
            entry.device.tags.set(entry.tags)
    return ImportResult(created=created, updated=len(planned) - created)


def _plan(rows: list[_Row], problems: list[str]) -> list[_Planned]:
    """The devices of ``rows``; adds a line to ``problems`` for each row that makes none."""
    planned: list[_Planned] = []
    seen: dict[str, int] = {}
    existing = {device.hostname.lower(): device for device in Device.objects.all()}
    zones = {zone.name: zone for zone in Zone.objects.all()}
    tags: dict[str, list[Tag]] = {}
    for line, row in rows:
        name = row["hostname"].lower()
        if name in seen:
            problems.append(
                f"line {line}: hostname '{row['hostname']}' stands in line {seen[name]} already"
            )
            continue
        seen[name] = line
        try:
            planned.append(_plan_row(row, existing.get(name) or Device(), zones, tags))
        except ValidationError as error:
            problems += [f"line {line}: {reason}" for reason in _reasons(error)]
    return planned


def _plan_row(
    row: dict[str, str], device: Device, zones: dict[str, Zone], tags: dict[str, list[Tag]]
) -> _Planned:
    device.hostname = device.hostname or row["hostname"]
    device.ip_address = row["ip_address"]
    device.platform = row["platform"]
    if row.get("port"):
        device.port = _port(row["port"])
    if "description" in row:
        device.description = row["description"]
    if "zone" in row:
        device.zone = _zone(row["zone"], zones)
    # The constraints would cost five queries for each device; ``seen`` has looked for twins.
    device.full_clean(exclude=["zone", "credential"], validate_constraints=False)
    names = row.get("tags")
    if names is None:
        return _Planned(device, None)
    if names not in tags:
        tags[names] = _tags(names)
    return _Planned(device, tags[names])


def _tags(names: str) -> list[Tag]:
    try:
        return tags_ensure(names=names.split(";"))
    except ValidationError as error:
        raise ValidationError({"tags": error.messages}) from error


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 5:
        raise ValidationError(
            {"port": f"'{text[:20]}' is no port; it is a number from 1 to 65535."}
        )
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
