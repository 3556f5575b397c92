"""The lockout guard of platform detections, of which many may be asked for at once.

Detections belong to no run. What they and the backups before them met with a credential says how
many of them may try it, by the rules of a run.
"""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db.models import Q
from django.db.models.functions import Now

from backups.engine.errors import DeviceError, ErrorCategory
from credentials.models import Credential
from inventory.models import CredentialUse
from jobs.models import DetectionState, PlatformDetection
from jobs.policy.limits import LimitKind, limit_key
from jobs.policy.lockout import Standing, log_ins_allowed, set_aside_reason
from jobs.services.locks import lock_limits

#: What was refused longer ago is forgotten: an account that was locked is open again, mostly.
FORGOTTEN_AFTER = timedelta(minutes=10)


def has_turn(*, credential: Credential) -> bool:
    """Whether one more detection may take ``credential``; needs a transaction.

    Claims of the same credential go one after the other until its end. A credential that is set
    aside is nothing to wait for: ``refuse_if_set_aside`` then says so.
    """
    limit = settings.NETRAVEN.lockout_devices
    if not limit:
        return True
    lock_limits(keys=[limit_key(LimitKind.PROBATION, credential.pk)])
    # Counted first: one that is refused in between then counts twice, and not at all the other way.
    under_way = _under_way(credential)
    refusers = _refusers(credential, limit)
    if len(refusers) >= limit:
        return True
    allowed = log_ins_allowed(
        Standing(refusals=len(refusers), is_proven=_is_proven(credential)), limit=limit
    )
    return allowed is None or under_way < allowed


def refuse_if_set_aside(*, credential: Credential) -> None:
    """Raise DeviceError when so many devices in a row have just refused ``credential``."""
    limit = settings.NETRAVEN.lockout_devices
    if not limit:
        return
    refusers = _refusers(credential, limit)
    if len(refusers) >= limit:
        raise DeviceError(
            ErrorCategory.CREDENTIAL_SET_ASIDE,
            f"'{credential.name}' was not tried, so that its account is not locked: "
            f"{set_aside_reason(refusers)}; correct it, or detect again in "
            f"{FORGOTTEN_AFTER.total_seconds() / 60:g} minutes",
        )


def _refusers(credential: Credential, limit: int) -> list[str]:
    """Up to ``limit`` devices that refused it since the last one that took it, the latest first."""
    refused = Q(state=DetectionState.FAILED, error_category=ErrorCategory.AUTHENTICATION)
    answers = PlatformDetection.objects.filter(
        refused | Q(state=DetectionState.DONE),
        credential=credential,
        finished_at__gte=Now() - FORGOTTEN_AFTER,
        # Whoever edits it may have corrected it.
        started_at__gte=credential.updated_at,
    ).order_by("-finished_at", "-pk")
    names: list[str] = []
    for state, hostname in answers.values_list("state", "device__hostname")[:limit]:
        if state == DetectionState.DONE:
            break
        names.append(hostname)
    return names


def _is_proven(credential: Credential) -> bool:
    """Whether a device has taken it, as it is at present, in a backup or a detection."""
    taken = CredentialUse.objects.filter(
        credential=credential, last_success_at__gte=credential.updated_at
    )
    done = PlatformDetection.objects.filter(
        credential=credential, state=DetectionState.DONE, started_at__gte=credential.updated_at
    )
    return taken.exists() or done.exists()


def _under_way(credential: Credential) -> int:
    # An older one has lost its worker, and the reconciler ends it.
    return PlatformDetection.objects.filter(
        credential=credential,
        state=DetectionState.RUNNING,
        started_at__gte=Now() - FORGOTTEN_AFTER,
    ).count()
