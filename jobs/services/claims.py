"""What a task holds of a device result, and what every write asks for: the fencing.

``attempts`` is the fencing token: a claim raises it, and every later write of that task asks for
its own value. A task that was frozen, redelivered or given up for dead therefore writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from jobs.choices import ResultStatus, RunStatus
from jobs.models import DeviceResult, JobRun
from jobs.policy.transitions import RESULT_CLAIM, RESULT_RECORD


@dataclass(frozen=True, slots=True)
class Claim:
    """A task's hold on one device result."""

    result_id: int
    attempt: int


def claim_standing(*, claim: Claim) -> QuerySet[DeviceResult]:
    """The row that ``claim`` holds; no row when the claim is gone."""
    return DeviceResult.objects.filter(_token(claim), status__in=RESULT_RECORD.sources)


def claims_standing(*, claims: Iterable[Claim]) -> QuerySet[DeviceResult]:
    """The rows that these claims hold, without those of claims that are gone."""
    tokens = Q(pk__in=[])
    for claim in claims:
        tokens |= _token(claim)
    return DeviceResult.objects.filter(tokens, status__in=RESULT_RECORD.sources)


def result_claimable(*, result_id: int) -> QuerySet[DeviceResult]:
    """The row if it is to be had: in a running run, PENDING, or RETRYING and due."""
    is_due = Q(status=ResultStatus.PENDING) | Q(retry_at__lte=Now())
    return DeviceResult.objects.filter(
        is_due,
        pk=result_id,
        status__in=RESULT_CLAIM.sources,
        # A join would move every condition into a subquery, which PostgreSQL does not look at
        # again after waiting for another claim of the row: both would win.
        run__in=JobRun.objects.filter(status=RunStatus.RUNNING),
    )


def _token(claim: Claim) -> Q:
    return Q(pk=claim.result_id, attempts=claim.attempt)
