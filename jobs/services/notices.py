"""Notices of changes become backups: one per device and burst, however much is told."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Least, Now

from inventory.models import CredentialUse, Device
from jobs.choices import Trigger
from jobs.models import ChangeNotice, JobRun
from jobs.services.run_creation import run_store

#: Who tells of a change by a message to the syslog listener.
SYSLOG: Final = "syslog"
#: What runs of this kind are called where others bear the name of their job.
RUN_NAME: Final = "configuration changes"
_DEVICES_PER_RUN: Final = 1000
_LONGEST_NAME: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What was told of one device."""

    device_id: int
    #: Who made the change; empty where that is not told.
    changed_by: str
    told_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """What notices came to, by devices."""

    #: Those that will be backed up.
    devices: int
    #: Of these the ones that already waited for it.
    joined: int


@transaction.atomic
def notices_add(*, notices: Collection[Notice]) -> Added:
    """Have the devices of ``notices`` backed up soon; the last who is named becomes the author.

    A device is due when nothing was told of it for ``change_quiet_seconds``, and at the latest
    ``change_wait_seconds`` after the first message. What NetRaven's own account has done is left
    out: a session that makes a device say so would have itself repeated for ever. Devices that are
    gone are left out as well.
    """
    kept = _one_each(_of_others(notices))
    config = settings.NETRAVEN
    rows = [
        ChangeNotice(
            device_id=notice.device_id,
            noticed_at=Now(),
            due_at=Now(),
            changed_by=_plain(notice.changed_by),
            told_by=notice.told_by[:200],
        )
        for notice in kept
    ]
    waiting = ChangeNotice.objects.filter(device__in=[row.device_id for row in rows])
    joined = waiting.count()
    named = [row for row in rows if row.changed_by]
    ChangeNotice.objects.bulk_create(
        named,
        update_conflicts=True,
        unique_fields=["device"],
        update_fields=["changed_by", "told_by"],
    )
    ChangeNotice.objects.bulk_create(
        [row for row in rows if not row.changed_by], ignore_conflicts=True
    )
    devices = waiting.update(
        due_at=Least(
            Now() + timedelta(seconds=config.change_quiet_seconds),
            F("noticed_at") + timedelta(seconds=config.change_wait_seconds),
        )
    )
    return Added(devices=devices, joined=joined)


@transaction.atomic
def run_create_of_changes() -> JobRun | None:
    """A run over the devices whose notices are due; None when there are none.

    Safe in several processes at once: each notice is taken by one of them.
    """
    due = (
        ChangeNotice.objects.select_for_update(skip_locked=True, of=("self",))
        .filter(due_at__lte=Now())
        .select_related("device")
        .order_by("due_at")[:_DEVICES_PER_RUN]
    )
    notices = list(due)
    ChangeNotice.objects.filter(pk__in=[notice.pk for notice in notices]).delete()
    active = [notice for notice in notices if notice.device.is_active]
    if not active:
        return None
    run = JobRun(
        job_name=RUN_NAME,
        trigger=Trigger.CHANGE.value,
        starts_per_second=settings.NETRAVEN.starts_per_second,
    )
    active.sort(key=lambda notice: notice.device.hostname)
    return run_store(
        run=run,
        devices=[notice.device for notice in active],
        changed_by={notice.device_id: notice.changed_by for notice in active},
    )


def _of_others(notices: Collection[Notice]) -> list[Notice]:
    """Those of active devices that do not name the account which NetRaven uses there."""
    devices = [notice.device_id for notice in notices]
    active = set(Device.objects.filter(pk__in=devices, is_active=True).values_list("pk", flat=True))
    own = set(
        CredentialUse.objects.filter(device__in=devices, last_success_at__isnull=False).values_list(
            "device_id", "credential__username"
        )
    )
    return [
        notice
        for notice in notices
        if notice.device_id in active and (notice.device_id, notice.changed_by) not in own
    ]


def _one_each(notices: Sequence[Notice]) -> list[Notice]:
    """One notice per device, by its id: the last one that names somebody, or the last."""
    chosen: dict[int, Notice] = {}
    for notice in notices:
        if notice.changed_by or not chosen.get(notice.device_id):
            chosen[notice.device_id] = notice
    return [chosen[device_id] for device_id in sorted(chosen)]


def _plain(name: str) -> str:
    """``name`` on one line, without what steers terminals or ends texts."""
    return "".join(letter for letter in name if letter.isprintable()).strip()[:_LONGEST_NAME]
