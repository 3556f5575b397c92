"""The credential after one that a device refused, and the memory of what devices take."""

from __future__ import annotations

from collections.abc import Collection

from django.conf import settings
from django.db import connection

from credentials.models import Credential
from inventory.resolution import credential_candidates, refused_credentials
from jobs.choices import ResultStatus
from jobs.models import DeviceResult, JobRun

#: Sessions that brought a configuration, whatever is thought of it.
_TOOK = [ResultStatus.SUCCEEDED.value, ResultStatus.SUSPECT.value]

# The key-share locks keep what is referred to from being deleted, and hold up no other writer.
_REMEMBER = """
    INSERT INTO inventory_credentialuse AS known (device_id, credential_id, last_success_at)
    SELECT device.id, credential.id, result.finished_at
    FROM jobs_deviceresult AS result
    JOIN inventory_device AS device ON device.id = result.device_id
    JOIN credentials_credential AS credential ON credential.id = result.credential_id
    WHERE result.run_id = %s AND result.status = ANY(%s)
    ORDER BY device.id, credential.id
    FOR KEY SHARE OF device, credential
    ON CONFLICT (device_id, credential_id)
    DO UPDATE SET last_success_at = GREATEST(known.last_success_at, EXCLUDED.last_success_at)
"""


def next_credentials(*, run: JobRun, device_ids: Collection[int]) -> dict[int, int]:
    """Ids of the credentials that these devices are to try next in ``run``, by the device's.

    Neither one that the run has set aside nor one that the device has refused since the run began
    comes into question. Devices that have none left, or have refused as many as they may, are left
    out. Takes 7 queries.
    """
    aside = set(
        run.credentials.filter(set_aside_at__isnull=False).values_list("credential", flat=True)
    )
    refused = refused_credentials(device_ids=device_ids, since=run.started_at or run.created_at)
    limit = settings.NETRAVEN.credential_attempts
    found = {}
    for device_id, candidates in credential_candidates(device_ids=device_ids).items():
        tried = refused.get(device_id, set())
        left = [one.credential.pk for one in candidates if one.credential.pk not in aside | tried]
        if left and len(tried) < limit:
            found[device_id] = left[0]
    return found


def credential_after(*, result: DeviceResult) -> Credential | None:
    """What the device of ``result`` tries next, once its refusal is written down; None: nothing."""
    if result.device_id is None:
        return None
    found = next_credentials(run=result.run, device_ids=[result.device_id])
    return Credential.objects.filter(pk=found.get(result.device_id, 0)).first()


def run_remember_credentials(*, run: JobRun) -> None:
    """Keep which credential each device of an ended ``run`` took; one statement for them all."""
    with connection.cursor() as cursor:
        cursor.execute(_REMEMBER, [run.pk, _TOOK])
