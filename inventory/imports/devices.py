"""Writing what was read from a file: nothing at all, or every device of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models.functions import Lower

from credentials.models import Tag
from credentials.services import tags_ensure
from inventory.formats import DeviceRecord, Reading, no_text
from inventory.imports.limits import ImportLimits
from inventory.imports.logins import Logins
from inventory.imports.names import Names
from inventory.models import Device
from inventory.visibility import User

_HOSTNAMES_AT_ONCE = 5_000
#: What an import can change; a device that differs in none of it is left as it is.
_COMPARED: Final = (
    "hostname",
    "ip_address",
    "port",
    "platform",
    "zone_id",
    "credential_id",
    "jump_host_id",
    "description",
    "is_active",
    "transport",
    "legacy_algorithms",
    "connect_timeout_seconds",
    "login_timeout_seconds",
    "command_timeout_seconds",
    "deadline_seconds",
)
#: What is written of a stored device, by field.
_WRITTEN: Final = (*(name.removesuffix("_id") for name in _COMPARED), "updated_at")


class ImportFailed(Exception):
    """A file was not imported; ``problems`` has one line per bad line of it."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(f"{len(problems)} problems")
        self.problems = problems


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportResult:
    """What an import did, or would do."""

    created: int
    updated: int
    unchanged: int
    #: One line for each entry that is no device to back up, and what else is to be known.
    left_out: Sequence[str] = field(default_factory=tuple)
    notes: Sequence[str] = field(default_factory=tuple)
    #: Names of the credentials that were made.
    credentials: Sequence[str] = field(default_factory=tuple)


def devices_import(
    *,
    reading: Reading,
    dry_run: bool = False,
    tags: Iterable[str] = (),
    logins_from: str | None = None,
    user: User | None = None,
) -> ImportResult:
    """Create the devices of ``reading``, or update those whose hostname exists.

    ``tags`` are given to each device beside its own. ``logins_from`` names the program whose
    logins become credentials; None leaves logins away. Tags and zones that are missing are made.
    ``user`` is whose limits hold; None stands for the command line, which has none. All or
    nothing: raises ImportFailed that names every bad line, and nothing was changed then.
    ``dry_run`` checks and changes nothing.
    """
    if reading.problems and not reading.records:
        raise ImportFailed(reading.problems)
    try:
        with transaction.atomic():
            work = _Import(reading, tuple(tags), logins_from, ImportLimits(user))
            result = work.result()
            if dry_run:
                transaction.set_rollback(True)
    except IntegrityError:
        raise ImportFailed(
            ["a hostname is taken, since just now or in other upper and lower case; try again"]
        ) from None
    return result


@dataclass(frozen=True, slots=True)
class _Planned:
    """A device as its line wants it, not saved yet; None leaves its tags as they are."""

    device: Device
    tags: list[Tag] | None
    is_changed: bool

    def save(self) -> None:
        """Write the device and its tags; of a stored one what a file can change, and no more."""
        is_new = self.device.pk is None
        self.device.save(update_fields=None if is_new else _WRITTEN)
        if self.tags is not None:
            self.device.tags.set(self.tags)


class _Import:
    """One import, within its transaction."""

    def __init__(
        self,
        reading: Reading,
        tags: tuple[str, ...],
        logins_from: str | None,
        limits: ImportLimits,
    ) -> None:
        self._reading = reading
        self._more_tags = tags
        self._limits = limits
        self._logins = Logins(program=logins_from) if logins_from else None
        self._names = Names(limits)
        self._tags: dict[tuple[str, ...], list[Tag]] = {}

    def result(self) -> ImportResult:
        """Write everything. Raises ImportFailed."""
        problems = list(self._reading.problems)
        planned = self._plan(problems)
        if problems:
            raise ImportFailed(problems)
        created = sum(entry.device.pk is None for entry in planned)
        changed = [entry for entry in planned if entry.is_changed]
        for entry in changed:
            entry.save()
        return ImportResult(
            created=created,
            updated=len(changed) - created,
            unchanged=len(planned) - len(changed),
            left_out=tuple(self._reading.left_out),
            notes=tuple(self._notes()),
            credentials=tuple(self._logins.made if self._logins else ()),
        )

    def _notes(self) -> Iterator[str]:
        yield from self._reading.notes
        left = sum(record.login is not None for record in self._reading.records)
        if left and self._logins is None:
            yield f"the logins of {left} devices were left out; their credentials are yours to make"

    def _plan(self, problems: list[str]) -> list[_Planned]:
        """The devices; adds a line to ``problems`` for each record that makes none."""
        planned: list[_Planned] = []
        seen: dict[str, str] = {}
        records = list(self._storable(problems))
        existing = _existing(record.hostname for record in records)
        for record in records:
            name = record.hostname.lower()
            if name in seen:
                problems.append(
                    f"{record.place}: hostname '{record.hostname}' stands in {seen[name]} already"
                )
                continue
            seen[name] = record.place
            try:
                planned.append(self._plan_record(record, existing.get(name)))
            except ValidationError as error:
                problems += [f"{record.place}: {reason}" for reason in _reasons(error)]
        return planned

    def _storable(self, problems: list[str]) -> Iterator[DeviceRecord]:
        """The records that the database can be asked about; the others become ``problems``."""
        for record in self._reading.records:
            part = no_text(record)
            if part is None:
                yield record
            else:
                problems.append(f"{record.place}: {part} holds characters that are no text")

    def _plan_record(self, record: DeviceRecord, stored: Device | None) -> _Planned:
        if stored is not None:
            self._limits.check_device(stored)
        device = stored or Device(hostname=record.hostname)
        before = _state(device)
        had = [] if stored is None else list(stored.tags.all())
        names = self._tag_names(record, had)
        self._limits.check_tags(names, had, is_new=stored is None)
        device.ip_address = record.ip_address
        device.platform = record.platform
        for field_name, value in record.values.items():
            setattr(device, field_name, value)
        self._names.set_relations(device, record)
        # The constraints would cost five queries for each device; ``seen`` has looked for twins.
        device.full_clean(exclude=["zone", "credential", "jump_host"], validate_constraints=False)
        if record.login is not None and self._logins is not None:
            device.credential = self._logins.credential(record.login)
        tags = None if names is None else self._ensured(names)
        is_changed = _state(device) != before or (tags is not None and set(tags) != set(had))
        return _Planned(device, tags, is_changed or stored is None)

    def _tag_names(self, record: DeviceRecord, had: list[Tag]) -> tuple[str, ...] | None:
        if record.tags is None and not self._more_tags:
            return None
        own = record.tags if record.tags is not None else tuple(tag.name for tag in had)
        return (*own, *self._more_tags)

    def _ensured(self, names: tuple[str, ...]) -> list[Tag]:
        if names not in self._tags:
            try:
                self._tags[names] = tags_ensure(names=names)
            except ValidationError as error:
                raise ValidationError({"tags": error.messages}) from error
        return self._tags[names]


def _existing(hostnames: Iterable[str]) -> dict[str, Device]:
    """The stored devices by hostname in lower case, with their tags, locked in one order."""
    found: dict[str, Device] = {}
    names = list(dict.fromkeys(name.lower() for name in hostnames))
    locked = Device.objects.select_for_update(of=("self",), no_key=True).order_by("pk")
    rows = locked.alias(key=Lower("hostname")).prefetch_related("tags")
    for start in range(0, len(names), _HOSTNAMES_AT_ONCE):
        some = rows.filter(key__in=names[start : start + _HOSTNAMES_AT_ONCE])
        found |= {device.hostname.lower(): device for device in some}
    return found


def _state(device: Device) -> tuple[Any, ...]:
    return tuple(getattr(device, name) for name in _COMPARED)


def _reasons(error: ValidationError) -> list[str]:
    if not hasattr(error, "error_dict"):
        return list(error.messages)
    return [
        f"{field}: {message}" if field != "__all__" else message
        for field, messages in error.message_dict.items()
        for message in messages
    ]
