"""Which devices a user sees. Everything that shows or touches a device asks here."""

from __future__ import annotations

from collections.abc import Iterable, Set
from typing import TypeVar

from django.db.models import Model, Q, QuerySet

from credentials.visibility import User, credentials_visible_to, is_limited, limit_of
from inventory.models import Device, JumpHost, Zone

_M = TypeVar("_M", bound=Model)

#: What is told of a zone that ``zones_nameable_by`` leaves out, or that is not there.
ZONE_UNKNOWN = "There is no zone '{}' that you may put a device in."

__all__ = [
    "ZONE_UNKNOWN",
    "User",
    "devices_visible_to",
    "is_limited",
    "jump_hosts_visible_to",
    "limit_of",
    "of_visible_devices",
    "scope_of",
    "tags_problem",
    "zones_nameable_by",
]


def scope_of(*, user: User) -> QuerySet[Device] | None:
    """The devices that ``user`` is limited to, or None for a user who sees all of them."""
    limit = limit_of(user=user)
    if limit is None:
        return None
    carried = Device.tags.through.objects.filter(tag__in=limit.values("pk"))
    return Device.objects.filter(pk__in=carried.values("device_id"))


def devices_visible_to(*, user: User) -> QuerySet[Device]:
    """The devices that ``user`` may see, each once."""
    scope = scope_of(user=user)
    return Device.objects.all() if scope is None else scope


def of_visible_devices(*, queryset: QuerySet[_M], user: User, path: str = "device") -> QuerySet[_M]:
    """Those of the rows whose device ``user`` may see; ``path`` is the way from a row to it.

    Rows whose device was deleted are for users without a limit only.
    """
    scope = scope_of(user=user)
    if scope is None:
        return queryset
    return queryset.filter(**{f"{path}__in": scope.order_by().values("pk")})


def jump_hosts_visible_to(*, user: User) -> QuerySet[JumpHost]:
    """The jump hosts that ``user`` may see: for a limited user those with their tags."""
    limit = limit_of(user=user)
    if limit is None:
        return JumpHost.objects.all()
    carried = JumpHost.tags.through.objects.filter(tag__in=limit.values("pk"))
    return JumpHost.objects.filter(pk__in=carried.values("jumphost_id"))


def zones_nameable_by(*, user: User) -> QuerySet[Zone]:
    """The zones that ``user`` may put a device in; they see all of them.

    What a zone has as default credential is sent to the devices in it. For a limited user that is
    none, or one that they see.
    """
    if not is_limited(user=user):
        return Zone.objects.all()
    seen = credentials_visible_to(user=user).order_by().values("pk")
    return Zone.objects.filter(Q(default_credential=None) | Q(default_credential__in=seen))


def tags_problem(*, wanted: Iterable[str], had: Iterable[str], own: Set[str]) -> str | None:
    """Why a user limited to the tags ``own`` may not give a row these tags; None if they may.

    They give and take away tags of their own only, and leave at least one of them. ``own`` is in
    lower case.
    """
    names = {name.strip().lower() for name in wanted} - {""}
    strange = sorted((names ^ {name.lower() for name in had}) - own)
    if strange:
        return (
            f"You are limited to some tags, and '{strange[0]}' is none of them; leave it as it is."
        )
    if not names & own:
        return "Give it at least one of the tags you are limited to."
    return None
