"""Where secrets stand, which of them devices share, and how old they are.

All of it is told by tokens: equal secrets have equal tokens, and nobody can read one. Secrets with
the constant token are listed with their device and can neither be compared nor dated.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, F, Max, Min, QuerySet, Window
from django.db.models.functions import RowNumber
from django.utils import timezone

from backups.models import SecretUse
from backups.selectors.device_filter import DeviceFilter, devices_filtered
from inventory.models import Device

#: Kinds of places and devices that are named with a shared secret.
SHOWN_PLACES = 3
SHOWN_DEVICES = 10

_ALL = DeviceFilter()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceName:
    """A device as reports name it."""

    device_id: int
    hostname: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedSecret:
    """A secret that several devices have, by its token."""

    token: str
    device_count: int
    #: Places in all of these devices together.
    use_count: int
    #: The most frequent places, without their tokens.
    places: tuple[str, ...]
    #: The first of the devices by hostname.
    devices: tuple[DeviceName, ...]
    #: When the token came to its place, UTC: at the device where it has stood longest, and where
    #: it came last.
    oldest_change_at: datetime
    newest_change_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedSecret:
    """A place of a device where a secret stands."""

    device_id: int
    hostname: str
    #: The line without its tokens.
    place: str
    line_number: int
    #: Eight hex digits; empty for the constant token.
    token: str
    #: Other devices with the same token.
    shared_with: int
    first_seen_at: datetime
    #: Of the revision that brought this token, UTC; the secret is at least as old.
    changed_at: datetime
    #: Whole days since then.
    age_days: int


def shared_secrets(
    *,
    device_filter: DeviceFilter = _ALL,
    min_devices: int = 2,
    scope: QuerySet[Device] | None = None,
) -> QuerySet[SecretUse, Any]:
    """Tokens that at least ``min_devices`` of the devices have, those of most devices first.

    To be sliced or paged, and turned into rows by ``shared_secret_rows``. Only the devices that
    ``device_filter`` lets through count.
    """
    return (
        _uses(device_filter, scope)
        .exclude(token="")
        .values("token")
        .annotate(
            device_count=Count("device", distinct=True),
            use_count=Count("pk"),
            oldest_change_at=Min("changed_at"),
            newest_change_at=Max("changed_at"),
        )
        .filter(device_count__gte=min_devices)
        .order_by("-device_count", "token")
    )


def shared_secret_rows(
    *,
    rows: Iterable[Mapping[str, Any]],
    device_filter: DeviceFilter = _ALL,
    scope: QuerySet[Device] | None = None,
) -> list[SharedSecret]:
    """Rows of ``shared_secrets`` with places and devices; two queries for any number of them."""
    found = list(rows)
    uses = _uses(device_filter, scope).filter(token__in=[row["token"] for row in found])
    places = _first_places(uses)
    devices = _first_devices(uses)
    return [
        SharedSecret(
            **row,
            places=tuple(places[row["token"]]),
            devices=tuple(devices[row["token"]]),
        )
        for row in found
    ]


def secret_uses(
    *,
    token: str,
    device_filter: DeviceFilter = _ALL,
    scope: QuerySet[Device] | None = None,
) -> QuerySet[SecretUse]:
    """The places in which ``token`` stands, by hostname; see ``placed_secrets``."""
    uses = _uses(device_filter, scope).filter(token=token)
    return uses.select_related("device").order_by("device__hostname", "line_number", "pk")


def device_secret_uses(*, device: Device) -> QuerySet[SecretUse]:
    """The places of ``device`` in the order of its lines; see ``placed_secrets``."""
    uses = SecretUse.objects.filter(device=device).select_related("device")
    return uses.order_by("line_number", "pk")


def stale_secret_uses(
    *,
    older_than: timedelta,
    device_filter: DeviceFilter = _ALL,
    scope: QuerySet[Device] | None = None,
) -> QuerySet[SecretUse]:
    """Places whose token has not changed for so long, the oldest first; see ``placed_secrets``."""
    uses = _uses(device_filter, scope).exclude(token="")
    old = uses.filter(changed_at__lt=timezone.now() - older_than)
    return old.select_related("device").order_by("changed_at", "device__hostname", "pk")


def placed_secrets(
    *, uses: Iterable[SecretUse], scope: QuerySet[Device] | None = None
) -> list[PlacedSecret]:
    """``uses`` (with their devices loaded) as rows of a report; one query for any number.

    The active devices of ``scope`` (None = all) count as those that share a secret.
    """
    found = list(uses)
    tokens = {use.token for use in found} - {""}
    counts = dict(
        _uses(_ALL, scope)
        .filter(token__in=tokens)
        .order_by()
        .values_list("token")
        .annotate(Count("device", distinct=True))
    )
    now = timezone.now()
    return [
        PlacedSecret(
            device_id=use.device_id,
            hostname=use.device.hostname,
            place=use.place,
            line_number=use.line_number,
            token=use.token,
            shared_with=max(0, counts.get(use.token, 0) - use.device.is_active),
            first_seen_at=use.first_seen_at,
            changed_at=use.changed_at,
            age_days=(now - use.changed_at).days,
        )
        for use in found
    ]


def _uses(device_filter: DeviceFilter, scope: QuerySet[Device] | None) -> QuerySet[SecretUse]:
    devices = devices_filtered(device_filter=device_filter, scope=scope)
    return SecretUse.objects.filter(device__in=devices)


def _first_places(uses: QuerySet[SecretUse]) -> dict[str, list[str]]:
    rank = Window(RowNumber(), partition_by="token", order_by=[F("count").desc(), F("place")])
    rows = (
        uses.order_by()
        .values("token", "place")
        .annotate(count=Count("pk"))
        .annotate(rank=rank)
        .filter(rank__lte=SHOWN_PLACES)
        .order_by("rank")
    )
    found: defaultdict[str, list[str]] = defaultdict(list)
    for row in rows:
        found[row["token"]].append(row["place"])
    return found


def _first_devices(uses: QuerySet[SecretUse]) -> dict[str, list[DeviceName]]:
    rank = Window(RowNumber(), partition_by="token", order_by="device__hostname")
    rows = (
        uses.order_by()
        .values("token", "device_id", "device__hostname")
        .annotate(count=Count("pk"))
        .annotate(rank=rank)
        .filter(rank__lte=SHOWN_DEVICES)
        .order_by("rank")
    )
    found: defaultdict[str, list[DeviceName]] = defaultdict(list)
    for row in rows:
        name = DeviceName(device_id=row["device_id"], hostname=row["device__hostname"])
        found[row["token"]].append(name)
    return found
