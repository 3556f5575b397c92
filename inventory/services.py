"""Writing the inventory: devices one by one, jump hosts, host keys."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from django.db import transaction
from django.db.models import QuerySet

from credentials.models import Tag
from inventory.models import Device, HostKeyChange, HostKeyOwner, JumpHost

_Owner = TypeVar("_Owner", bound=HostKeyOwner)


class HostKeyNotAccepted(Exception):
    """No host key was accepted; the message says why in one line."""


class TagStays(Exception):
    """A tag was not taken away; the message says why in one line."""


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
def devices_tag(*, devices: QuerySet[Device], tag: Tag) -> int:
    """Give ``tag`` to ``devices``; how many of them did not carry it before."""
    ids = devices.order_by().values("pk")
    lacking = Device.objects.filter(pk__in=ids).exclude(tags=tag).order_by()
    found = list(lacking.values_list("pk", flat=True))
    tag.devices.add(*found)
    return len(found)


@transaction.atomic
def devices_untag(
    *, devices: QuerySet[Device], tag: Tag, limit: QuerySet[Tag] | None = None
) -> int:
    """Take ``tag`` away from ``devices``; how many of them carried it.

    Raises TagStays where one of them would be left without a tag of ``limit`` (None = no limit).
    """
    ids = devices.order_by().values("pk")
    carrying = Device.objects.filter(pk__in=ids, tags=tag).order_by()
    if limit is not None:
        others = limit.exclude(pk=tag.pk).values("pk")
        kept = Device.tags.through.objects.filter(tag__in=others).values("device_id")
        lost = carrying.exclude(pk__in=kept).first()
        if lost is not None:
            raise TagStays(
                f"'{tag}' is the only tag of yours on {lost.hostname}; give it another one first"
            )
    found = list(carrying.values_list("pk", flat=True))
    tag.devices.remove(*found)
    return len(found)


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
