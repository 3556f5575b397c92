"""Reading outputs that were not trusted."""

from __future__ import annotations

from django.db.models import QuerySet

from backups.models import Suspect, SuspectState
from inventory.models import Device


class SuspectNotFound(Exception):
    """There is no such suspect output; the message says what there is."""


def suspects_open() -> QuerySet[Suspect]:
    """Outputs that wait for a decision, newest first."""
    return Suspect.objects.filter(state=SuspectState.OPEN).select_related("device").order_by("-id")


def suspect_newest(*, device: Device) -> Suspect:
    """The newest output of ``device`` that waits for a decision. Raises SuspectNotFound."""
    suspect = suspects_open().filter(device=device).first()
    if suspect is None:
        raise SuspectNotFound(
            f"{device.hostname} has no suspect output that waits for a decision; "
            "'suspects' lists those that do"
        )
    return suspect
