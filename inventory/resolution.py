"""Which credentials fit a device, in which order they are tried, and why."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from django.db.models import Q, QuerySet

from credentials.models import Credential
from credentials.visibility import User, credentials_visible_to, is_limited
from inventory.models import CredentialUse, Device


class Rule(StrEnum):
    """Why a credential fits a device. The values are part of the API."""

    #: It is the device's own.
    DEVICE = "device"
    #: It shares a tag with the device.
    TAG = "tag"
    #: It is the default of the device's zone.
    ZONE = "zone"


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialCandidate:
    """A credential that fits a device, and why."""

    credential: Credential
    rule: Rule
    #: Names of the tags that both carry; empty for another rule.
    tags: tuple[str, ...] = ()
    #: Name of the zone whose default it is; empty for another rule.
    zone: str = ""
    #: End of the last session with this device that brought a configuration; None for never.
    last_success_at: datetime | None = None
    #: When this device last refused it; None for never.
    last_failure_at: datetime | None = None
    #: Whether it is the one that last worked on this device, and was not refused since.
    is_remembered: bool = False

    @property
    def reason(self) -> str:
        """Why it fits, in words."""
        if self.rule is Rule.DEVICE:
            return "the device's own credential"
        if self.rule is Rule.ZONE:
            return f"the default of zone {self.zone}"
        return "shares the tag " + ", ".join(self.tags)

    @property
    def is_refused(self) -> bool:
        """Whether this device refused it last, and nobody has changed it since."""
        failed = self.last_failure_at
        if failed is None or failed < self.credential.updated_at:
            return False
        return self.last_success_at is None or self.last_success_at < failed


class _Device(NamedTuple):
    """What decides about the credentials of one device."""

    own_id: int | None
    zone_id: int | None
    zone: str
    tag_ids: frozenset[int]
    #: Last success and last failure by credential.
    uses: dict[int, tuple[datetime | None, datetime | None]]


class _Known(NamedTuple):
    """The active credentials that come into question."""

    credentials: dict[int, Credential]
    #: By the tags of a device, which many have in common: what shares one of them, first choice
    #: first, with the names of the shared ones.
    by_tags: dict[frozenset[int], list[tuple[Credential, tuple[str, ...]]]]


def credential_candidates(*, device_ids: Iterable[int]) -> dict[int, list[CredentialCandidate]]:
    """For each device the credentials that fit it, first choice first; 5 queries for any number.

    A device's own credential comes first, then those that share a tag with it, by priority and
    name, then the default of its zone. The one that last worked on the device goes before them all
    but an own credential that the device has not refused. Inactive credentials fit nothing. A
    device without any has an empty list.
    """
    devices = _devices(list(device_ids))
    known = _known(devices.values())
    return {device_id: _ordered(_fitting(device, known)) for device_id, device in devices.items()}


def credentials_explained(*, device: Device, shown_to: User = None) -> dict[str, Any]:
    """What ``device`` would be logged in to with, and why; no secret.

    ``shown_to`` is whose limit holds: ``name`` and ``username`` of credentials that they do not see
    are empty. None stands for the command line, which sees all of them.

    ``hostname``, ``used`` (the name of the choice, None for none) and ``candidates``, first choice
    first, each with ``place`` (from 1), ``name``, ``username``, ``priority``, ``rule``, ``tags``,
    ``zone``, ``reason``, ``remembered``, ``last_success_at`` and ``last_failure_at`` (UTC, None for
    never) and ``used``.
    """
    found = credential_candidates(device_ids=[device.pk])[device.pk]
    hidden = _hidden(found, shown_to)
    rows = [
        {
            "place": place,
            "name": "" if one.credential.pk in hidden else one.credential.name,
            "username": "" if one.credential.pk in hidden else one.credential.username,
            "priority": one.credential.priority,
            "rule": one.rule.value,
            "tags": list(one.tags),
            "zone": one.zone,
            "reason": one.reason,
            "remembered": one.is_remembered,
            "last_success_at": one.last_success_at,
            "last_failure_at": one.last_failure_at,
            "used": place == 1,
        }
        for place, one in enumerate(found, start=1)
    ]
    used = rows[0]["name"] if rows else None
    return {"hostname": device.hostname, "used": used, "candidates": rows}


def _hidden(found: list[CredentialCandidate], user: User) -> set[int]:
    """Ids of the credentials of ``found`` that ``user`` does not see."""
    if user is None or not is_limited(user=user):
        return set()
    ids = {one.credential.pk for one in found}
    visible = credentials_visible_to(user=user).filter(pk__in=ids)
    return ids - set(visible.values_list("pk", flat=True))


def devices_without_credential(*, devices: QuerySet[Device]) -> QuerySet[Device]:
    """Those of ``devices`` that no active credential fits."""
    shared = Device.tags.through.objects.filter(tag__credentials__is_active=True)
    return devices.exclude(
        Q(credential__is_active=True)
        | Q(zone__default_credential__is_active=True)
        | Q(pk__in=shared.values("device_id"))
    )


def refused_credentials(*, device_ids: Collection[int], since: datetime) -> dict[int, set[int]]:
    """Ids of the credentials that each device has refused since then; one query."""
    rows = CredentialUse.objects.filter(device__in=device_ids, last_failure_at__gte=since)
    refused: dict[int, set[int]] = defaultdict(set)
    for device_id, credential_id in rows.order_by().values_list("device_id", "credential_id"):
        refused[device_id].add(credential_id)
    return refused


def _devices(ids: list[int]) -> dict[int, _Device]:
    rows = Device.objects.filter(pk__in=ids).order_by()
    fields = {
        pk: (own_id, zone_id, zone or "")
        for pk, own_id, zone_id, zone in rows.values_list(
            "pk", "credential_id", "zone__default_credential_id", "zone__name"
        )
    }
    tag_ids: dict[int, set[int]] = defaultdict(set)
    carried = Device.tags.through.objects.filter(device_id__in=ids)
    for device_id, tag_id in carried.values_list("device_id", "tag_id"):
        tag_ids[device_id].add(tag_id)
    uses: dict[int, dict[int, tuple[datetime | None, datetime | None]]] = defaultdict(dict)
    used = CredentialUse.objects.filter(device__in=ids).order_by()
    for device_id, credential_id, success, failure in used.values_list(
        "device_id", "credential_id", "last_success_at", "last_failure_at"
    ):
        uses[device_id][credential_id] = (success, failure)
    found = {}
    for pk in ids:
        own_id, zone_id, zone = fields.get(pk, (None, None, ""))
        tags = frozenset(tag_ids.get(pk, ()))
        found[pk] = _Device(own_id, zone_id, zone, tags, uses.get(pk, {}))
    return found


def _known(devices: Collection[_Device]) -> _Known:
    tag_sets = {device.tag_ids for device in devices}
    carried = Credential.tags.through.objects.filter(tag_id__in=set().union(*tag_sets))
    tags: dict[int, dict[int, str]] = defaultdict(dict)
    for credential_id, tag_id, name in carried.values_list("credential_id", "tag_id", "tag__name"):
        tags[credential_id][tag_id] = name
    named = {pk for device in devices for pk in (device.own_id, device.zone_id) if pk is not None}
    credentials = Credential.objects.filter(is_active=True, pk__in=named | set(tags)).in_bulk()
    carriers: dict[int, list[Credential]] = defaultdict(list)
    for credential in credentials.values():
        for tag_id in tags.get(credential.pk, ()):
            carriers[tag_id].append(credential)
    return _Known(credentials, {ids: _sharing(ids, carriers, tags) for ids in tag_sets})


def _sharing(
    tag_ids: frozenset[int],
    carriers: dict[int, list[Credential]],
    tags: dict[int, dict[int, str]],
) -> list[tuple[Credential, tuple[str, ...]]]:
    found = {one.pk: one for tag_id in tag_ids for one in carriers.get(tag_id, ())}
    return [
        (one, tuple(sorted(name for tag_id, name in tags[one.pk].items() if tag_id in tag_ids)))
        for one in sorted(found.values(), key=lambda one: (one.priority, one.name))
    ]


def _fitting(device: _Device, known: _Known) -> list[CredentialCandidate]:
    """The credentials that fit ``device``, each by the first rule that it fits by."""
    found: dict[int, CredentialCandidate] = {}

    def add(
        credential: Credential | None, rule: Rule, tags: tuple[str, ...] = (), zone: str = ""
    ) -> None:
        if credential is None or credential.pk in found:
            return
        success, failure = device.uses.get(credential.pk, (None, None))
        found[credential.pk] = CredentialCandidate(
            credential=credential,
            rule=rule,
            tags=tags,
            zone=zone,
            last_success_at=success,
            last_failure_at=failure,
        )

    add(known.credentials.get(device.own_id or 0), Rule.DEVICE)
    for credential, tags in known.by_tags[device.tag_ids]:
        add(credential, Rule.TAG, tags)
    add(known.credentials.get(device.zone_id or 0), Rule.ZONE, zone=device.zone)
    return list(found.values())


def _ordered(candidates: list[CredentialCandidate]) -> list[CredentialCandidate]:
    """``candidates`` with the one that last worked in its place."""
    worked = {
        one.last_success_at: place
        for place, one in enumerate(candidates)
        if one.last_success_at is not None
        and (one.last_failure_at is None or one.last_failure_at <= one.last_success_at)
    }
    if not worked:
        return candidates
    place = worked[max(worked)]
    remembered = dataclasses.replace(candidates[place], is_remembered=True)
    others = [one for at, one in enumerate(candidates) if at != place]
    keeps_first = bool(others) and others[0].rule is Rule.DEVICE and not others[0].is_refused
    others.insert(1 if keeps_first else 0, remembered)
    return others
