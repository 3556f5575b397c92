"""Taking note of changes."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet

from backups.models import ChangeAcknowledgement, Snapshot
from backups.selectors.changes import change_like
from inventory.models import Device

#: Characters of a note and of a ticket, as their columns have room.
_LONGEST = {"note": 500, "ticket": 100}


class NothingToAcknowledge(Exception):
    """There is no such change, or somebody took note of it before; the message says which."""


@transaction.atomic
def change_acknowledge(
    *,
    snapshot: Snapshot,
    acknowledged_by: str,
    note: str = "",
    ticket: str = "",
    scope: QuerySet[Device] | None = None,
) -> ChangeAcknowledgement:
    """Take note of the change of ``snapshot``, on all devices of ``scope`` that have the same one.

    That is the equal change of the same run; ``scope`` None = all devices. Revisions that were
    acknowledged before stay with whom they are. Raises ValidationError when there is neither a note
    nor a ticket, NothingToAcknowledge.
    """
    note, ticket = _checked(note, ticket)
    if not snapshot.change_digest:
        raise NothingToAcknowledge(f"{snapshot.device.hostname}: this revision changed nothing")
    waiting = change_like(snapshot=snapshot, scope=scope).filter(acknowledgement=None)
    devices = dict(waiting.order_by().values_list("pk", "device_id"))
    acknowledgement = ChangeAcknowledgement.objects.create(
        run_id=snapshot.run_id,
        job_name=snapshot.job_name,
        change_digest=snapshot.change_digest,
        device_count=len(set(devices.values())),
        note=note,
        ticket=ticket,
        acknowledged_by=acknowledged_by[:200],
    )
    rows = Snapshot.objects.filter(pk__in=devices, acknowledgement=None)
    if not rows.update(acknowledgement=acknowledgement):
        raise NothingToAcknowledge(
            f"the change on {snapshot.device.hostname} is acknowledged already"
        )
    return acknowledgement


def _checked(note: str, ticket: str) -> tuple[str, str]:
    texts = {"note": " ".join(note.split()), "ticket": " ".join(ticket.split())}
    if not any(texts.values()):
        raise ValidationError({"note": "Give a note or a ticket: why the change is in order."})
    for name, text in texts.items():
        limit = _LONGEST[name]
        if len(text) > limit:
            raise ValidationError({name: f"It has more than {limit} characters; shorten it."})
        if "\x00" in text:
            raise ValidationError({name: "It holds a NUL character; remove that."})
    return texts["note"], texts["ticket"]
