"""Devices that wait for room: without a message, without a worker, in the line of what is full.

Releasing is a doorbell, the claim keeps the limit. A device stands in the line of one limit, and
whoever makes room there looks at the others as well (docs/adr/0020).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from django.db import transaction
from django.db.models import CharField, F, Func, Q, QuerySet, Value
from django.db.models.functions import Coalesce, Greatest, Now

from common.statements import Statement
from jobs.choices import OPEN_RESULT_STATUSES, ResultStatus
from jobs.models import DeviceResult, JobRun
from jobs.models.results import PARKED
from jobs.policy.limits import LimitKind, keys_of_kind, limit_key, parse_key
from jobs.selectors.limits import Room, parked_lines, rooms, standings
from jobs.services.claims import Claim, claim_standing, result_claimable
from jobs.services.lockout import is_set_aside, results_reassign
from jobs.services.locks import lock_limits, lock_lines

#: So many devices of a line are looked at in one go, at the most.
_LOOK = 500
#: A device of a run whose message is on its way or whose session is open.
_UNDER_WAY = Statement(
    lambda run_id: (
        DeviceResult.objects.filter(
            run=run_id, status__in=OPEN_RESULT_STATUSES, queued_at__isnull=False
        )
        .only("pk")
        .order_by()[:1]
    ),
    run_id=int,
)


@dataclass(slots=True)
class Released:
    """What is to be done after a release, once it is committed."""

    #: Devices that got room: each needs a message.
    results: list[DeviceResult] = field(default_factory=list)
    #: Runs that may be able to go on, or to end.
    run_ids: set[int] = field(default_factory=set)


# --- At the claim -------------------------------------------------------------------------------


def result_admit(*, result_id: int) -> bool:
    """Whether the device may have a session at this moment; otherwise it is parked.

    Needs a transaction: what it found out holds until its end. A device whose credential was set
    aside gets its next one before it is looked at.
    """
    row = result_claimable(result_id=result_id)
    brief = row.only("run_id", "credential_id", "limit_keys")
    if (result := brief.first()) is None:
        return False
    if is_set_aside(run_id=result.run_id, credential_id=result.credential_id):
        assert result.credential_id is not None
        results_reassign(run_id=result.run_id, credential_id=result.credential_id)
        if (result := brief.first()) is None:
            return False
    keys = [key for key in result.limit_keys if parse_key(key)[0] is not LimitKind.LOG_IN]
    if not keys:
        return True
    lock_limits(keys=keys)
    found = rooms(keys=keys, at_claim=True)
    full = next((key for key in keys if found[key].is_full), None)
    if full is not None:
        _park(row, full, found[full], limit_keys=keys)
        return False
    for _ in keys_of_kind(keys, LimitKind.RUN):
        _count_start(result.run_id)
    if keys != result.limit_keys:
        row.update(limit_keys=keys)
    return True


@transaction.atomic
def result_park_for_device(*, result_id: int) -> None:
    """Park a device that another run reads at this moment."""
    row = result_claimable(result_id=result_id)
    for device_id in row.values_list("device_id", flat=True):
        assert device_id is not None  # it is read elsewhere
        key = limit_key(LimitKind.DEVICE, device_id)
        _park(row, key, rooms(keys=[key], at_claim=True)[key])


def result_withhold(*, result: DeviceResult) -> bool:
    """Park a claimed device whose log-in was withheld. False when the claim is gone.

    It counts as no attempt.
    """
    assert result.credential_id is not None
    key = limit_key(LimitKind.PROBATION, result.run_id, result.credential_id)
    held = claim_standing(claim=Claim(result.pk, result.attempts))
    room = rooms(keys=[key], at_claim=False)[key]
    return bool(_park(held, key, room, given_back=F("given_back") + 1))


# --- Release ------------------------------------------------------------------------------------


def parked_release_all() -> Released:
    """Give room to whoever can have it, in all lines. One query when nobody is parked."""
    lines = parked_lines() if DeviceResult.objects.filter(PARKED).exists() else []
    return _release_lines(lines) if lines else Released()


def room_made(*, result: DeviceResult) -> Released:
    """Give the room of a session that has ended to those that wait for it."""
    kinds = (LimitKind.RUN, LimitKind.LOG_IN)
    released = parked_release(
        lines=[key for key in result.limit_keys if parse_key(key)[0] not in kinds]
    )
    if _UNDER_WAY.first(run_id=result.run_id) is None:
        released.run_ids.add(result.run_id)
    return released


def parked_release(*, lines: Collection[str]) -> Released:
    """Give room to the devices at the head of these lines, as far as there is any.

    One query per line where nobody stands.
    """
    parked = DeviceResult.objects.filter(PARKED)
    standing = [line for line in sorted(lines) if parked.filter(parked_key=line).exists()]
    return _release_lines(standing) if standing else Released()


@transaction.atomic
def _release_lines(lines: list[str]) -> Released:
    released = Released()
    lock_lines(keys=lines)
    found = rooms(keys=lines, at_claim=False)
    # At first, because it waits for rows, which is to be done by who holds none yet.
    for line in lines:
        if found[line].is_full and parse_key(line)[0] is LimitKind.PROBATION:
            _leave_set_aside(line, released)
    for line in lines:
        if found[line].free is None:
            _dissolve(line, released)
        elif not found[line].is_full:
            _release_line(line, found, released)
    return released


def _release_line(line: str, found: dict[str, Room], released: Released) -> None:
    """Release the first devices of ``line``, and move those that something else holds up."""
    looked_at = 0
    while looked_at < _LOOK and not found[line].is_full:
        free = found[line].free or 0
        heads = _heads(line)[: min(free, _LOOK - looked_at)]
        if not heads:
            return
        looked_at += len(heads)
        unknown = {key for head in heads for key in head.limit_keys} - set(found)
        found |= rooms(keys=unknown, at_claim=False) if unknown else {}
        free_heads: list[DeviceResult] = []
        held_up: dict[str, list[int]] = defaultdict(list)
        for head in heads:
            keys = [line, *(key for key in head.limit_keys if key in found and key != line)]
            full = next((key for key in keys if found[key].is_full), None)
            if full is not None:
                held_up[full].append(head.pk)
                continue
            free_heads.append(head)
            for key in keys:
                found[key] = _taken_one(found[key])
        _release(free_heads, released)
        held_up.pop(line, None)
        for key, ids in held_up.items():
            DeviceResult.objects.filter(pk__in=ids).update(
                parked_key=key, parked_reason=found[key].reason
            )


def _heads(line: str) -> QuerySet[DeviceResult]:
    """The devices of ``line``, the oldest first; on probation in any order.

    Neighbours by name often share what is wrong with them, so they are poor witnesses.
    """
    is_probation = parse_key(line)[0] is LimitKind.PROBATION
    return (
        DeviceResult.objects.select_for_update(skip_locked=True, of=("self",))
        .select_related("device__zone", "run")
        .filter(PARKED, parked_key=line)
        .order_by("?" if is_probation else "pk")
    )


def _taken_one(room: Room) -> Room:
    return room if room.free is None else Room(room.free - 1, room.reason)


def _release(results: Sequence[DeviceResult], released: Released) -> None:
    ids = [result.pk for result in results]
    DeviceResult.objects.filter(pk__in=ids).update(parked_at=None, parked_key="", queued_at=Now())
    released.results += results


def _dissolve(line: str, released: Released) -> None:
    """Send the devices of a line whose limit is gone on: to their next line, or into a wave.

    Those that somebody holds are left for the next pass: whoever cancels a run waits for its rows.
    """
    standing = DeviceResult.objects.filter(PARKED, parked_key=line)
    rows = standing.select_for_update(skip_locked=True).order_by("pk")
    parked = standing.filter(pk__in=list(rows.values_list("pk", flat=True)))
    free = parked.filter(Q(limit_keys=[line]) | Q(limit_keys=[]))
    released.run_ids |= set(free.order_by().values_list("run_id", flat=True).distinct())
    # Those are of a wave again, and end like its others.
    free.update(limit_keys=[], parked_at=None, parked_key="", parked_reason="", queued_at=None)
    rest = Func(F("limit_keys"), Value(line), function="array_remove")
    parked.update(limit_keys=rest, parked_key=_First(rest, output_field=CharField()))


class _First(Func):
    template = "(%(expressions)s)[1]"


def _leave_set_aside(line: str, released: Released) -> None:
    """Devices that came into the line after their credential was set aside."""
    run_id, credential_id = parse_key(line)[1]
    if standings(pairs=[(run_id, credential_id)])[run_id, credential_id].is_set_aside:
        results_reassign(run_id=run_id, credential_id=credential_id)
        released.run_ids.add(run_id)


# --- Both ---------------------------------------------------------------------------------------


def _park(row: QuerySet[DeviceResult], key: str, room: Room, **fields: object) -> int:
    return row.update(
        status=ResultStatus.PENDING,
        parked_at=Now(),
        parked_key=key,
        parked_reason=room.reason[:200],
        queued_at=None,
        retry_at=None,
        lease_until=None,
        **fields,
    )


def _count_start(run_id: int) -> None:
    """Take one start of the ramp of a run: the next one is due a moment later."""
    runs = JobRun.objects.filter(pk=run_id, starts_per_second__isnull=False)
    for rate in runs.values_list("starts_per_second", flat=True):
        assert rate is not None  # by the filter
        runs.update(
            next_start_at=Greatest(Coalesce("next_start_at", Now()), Now())
            + timedelta(seconds=1 / rate)
        )
