"""What a worker that ends gives back: devices that it could not read to the end."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from jobs.choices import LogLevel, ResultStatus
from jobs.models import DeviceResult
from jobs.services.claims import Claim, claims_standing
from jobs.services.logs import job_log


def claims_hand_back(*, claims: Iterable[Claim]) -> list[DeviceResult]:
    """Make the devices of these claims PENDING at once; gives those that somebody is to send.

    Claims that are gone meanwhile stay as they are. It is no loss and counts as no attempt: nothing
    died, and nothing that the ending worker still does with them is written. What is being stored
    at this moment is left out, or the others would wait for it: it ends, or its lease does.
    """
    with transaction.atomic():
        results = list(
            claims_standing(claims=claims)
            .select_for_update(of=("self",), skip_locked=True)
            .select_related("device__zone")
            .filter(snapshot=None)
            .order_by("pk")
        )
        DeviceResult.objects.filter(pk__in=[result.pk for result in results]).update(
            status=ResultStatus.PENDING,
            given_back=F("given_back") + 1,
            lease_until=None,
            queued_at=Now(),
        )
        for result in results:
            job_log(
                run=result.run_id,
                device_id=result.device_id,
                level=LogLevel.WARNING,
                message=f"{result.hostname}: its worker was stopped; another one reads the device",
            )
    return results
