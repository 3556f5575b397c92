"""Which limits the devices of a run are under: frozen at dispatch, in a constant number of queries.

A device under any limit is parked at once, without a message; ``jobs.services.parking`` gives it
room (docs/adr/0020).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from django.conf import settings
from django.db.models import Count
from django.db.models.functions import Now

from jobs.choices import ResultStatus
from jobs.models import DeviceResult, JobRun, RunCredential
from jobs.policy.limits import LimitKind, limit_key
from jobs.policy.transitions import RESULT_CLAIM
from jobs.selectors.limits import capped_keys, rooms, standings

_BATCH = 1000


def results_limit(
    *, run: JobRun, results: Sequence[DeviceResult], is_fallback: bool = False
) -> None:
    """Freeze the limits of ``results``, which have their credentials and wait for a session.

    Those under a limit are parked in the line of the tightest one; the others stay free for a wave.
    ``is_fallback`` is for credentials that come after another one was refused or set aside: how
    many devices will use them is not known, so all of those are on probation until proven.
    """
    groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for result_id, keys in _keys(run, results, is_fallback).items():
        groups[keys].append(result_id)
    groups.pop((), None)
    found = rooms(keys={keys[0] for keys in groups}, at_claim=False)
    for keys, ids in groups.items():
        for start in range(0, len(ids), _BATCH):
            rows = DeviceResult.objects.filter(pk__in=ids[start : start + _BATCH])
            rows.filter(status=ResultStatus.RETRYING).update(limit_keys=list(keys))
            rows.filter(status=ResultStatus.PENDING).update(
                limit_keys=list(keys),
                parked_at=Now(),
                parked_key=keys[0],
                parked_reason=found[keys[0]].reason[:200],
                queued_at=None,
            )


def _keys(
    run: JobRun, results: Sequence[DeviceResult], is_fallback: bool
) -> dict[int, tuple[str, ...]]:
    """The keys of each result by its id, the tightest first."""
    credential_of = {
        one.device_id: one.credential_id
        for one in results
        if one.device_id is not None and one.credential_id is not None
    }
    caps = capped_keys(device_ids=list(credential_of), credential_of=credential_of)
    on_probation = _on_probation(run, set(credential_of.values()), is_fallback)
    ramp = [limit_key(LimitKind.RUN, run.pk)] if run.starts_per_second else []
    return {
        one.pk: (
            *on_probation.get(one.credential_id or 0, ()),
            *caps.get(one.device_id or 0, ()),
            *ramp,
        )
        for one in results
    }


def _on_probation(run: JobRun, credential_ids: set[int], is_fallback: bool) -> dict[int, list[str]]:
    """The key of each credential on probation: unproven, and used for more devices than may fail.

    Fewer devices cannot refuse it more often than the limit, unless others fall back on it.
    """
    limit = settings.NETRAVEN.lockout_devices
    if not limit or not credential_ids:
        return {}
    used = run.results.filter(credential__in=credential_ids).order_by().values_list("credential")
    pairs = [
        (run.pk, pk)
        for pk, count in used.annotate(Count("pk"))
        if pk and (is_fallback or count > limit)
    ]
    if not pairs:
        return {}
    known = standings(pairs=pairs)
    pairs = [pair for pair in pairs if not known[pair].is_proven]
    RunCredential.objects.bulk_create(
        [RunCredential(run=run, credential_id=pk) for _, pk in pairs], ignore_conflicts=True
    )
    if is_fallback:
        _put_others_on_probation(run, [pk for _, pk in pairs])
    return {pk: [limit_key(LimitKind.PROBATION, run.pk, pk)] for _, pk in pairs}


def _put_others_on_probation(run: JobRun, credential_ids: list[int]) -> None:
    """Have devices ask as well that wait with one of these credentials as their first.

    They were too few to ask: together with those that fall back on it they are not.
    """
    waiting = run.results.filter(credential__in=credential_ids, status__in=RESULT_CLAIM.sources)
    for credential_id in credential_ids:
        key = limit_key(LimitKind.PROBATION, run.pk, credential_id)
        others = waiting.filter(credential=credential_id).exclude(limit_keys__contains=[key])
        # Locked in one order: others lock several rows at once as well.
        rows = list(others.select_for_update(of=("self",)).only("limit_keys").order_by("pk"))
        for row in rows:
            row.limit_keys = [key, *row.limit_keys]
        DeviceResult.objects.bulk_update(rows, ["limit_keys"], batch_size=_BATCH)
