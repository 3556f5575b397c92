"""Which limits apply to the sessions of devices, and how much room they leave at this moment."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db.models import CharField, Count, F, Func, Q
from django.db.models.functions import Now

from credentials.models import Credential, Tag
from inventory.models import Device, JumpHost, Zone
from inventory.selectors import jump_hosts_of
from jobs.choices import ResultStatus
from jobs.models import DeviceResult, JobRun, RunCredential
from jobs.models.results import PARKED, RELEASED
from jobs.policy.limits import (
    CAPPED_KINDS,
    LimitKind,
    keys_of_kind,
    limit_key,
    parse_key,
    start_slack_seconds,
    starts_due,
)
from jobs.policy.lockout import Standing, log_ins_allowed, sessions_allowed

#: A device that got room and was claimed by no worker within this time gives it to the next one:
#: perhaps no worker serves its queue. The claim is what keeps the limit.
RELEASE_HOLDS = timedelta(seconds=30)
#: For how long ahead the start ramp gives out starts.
RAMP_SECONDS = 1.0

_MODELS: dict[LimitKind, type[Zone | Tag | JumpHost | Credential]] = {
    LimitKind.ZONE: Zone,
    LimitKind.TAG: Tag,
    LimitKind.JUMP_HOST: JumpHost,
    LimitKind.CREDENTIAL: Credential,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionLimit:
    """A limit that an operator has set."""

    #: Kind and name of the thing, as a person would say it.
    what: str
    sessions: int


@dataclass(frozen=True, slots=True)
class Room:
    """How much room a limit leaves."""

    #: Sessions that may begin; None when there is no such limit any more.
    free: int | None
    #: What waits for it waits for, one line.
    reason: str = ""

    @property
    def is_full(self) -> bool:
        return self.free is not None and self.free <= 0


def capped_keys(
    *, device_ids: Collection[int], credential_of: Mapping[int, int]
) -> dict[int, list[str]]:
    """For each device the keys of the caps on its session, the tightest first.

    ``credential_of`` gives the credential's id by the device's. Devices without any are left out.
    Takes 5 queries where nothing has a cap, and 14 at the most, for any number of devices.
    """
    caps: dict[int, list[tuple[int, str]]] = defaultdict(list)
    zones = _caps(Zone)
    if zones:
        rows = Device.objects.filter(pk__in=device_ids, zone__in=zones)
        for device_id, zone_id in rows.values_list("pk", "zone_id"):
            _add(caps, device_id, LimitKind.ZONE, zone_id or 0, zones)
    tags = _caps(Tag)
    if tags:
        carried = Device.tags.through.objects.filter(device_id__in=device_ids, tag_id__in=tags)
        for device_id, tag_id in carried.values_list("device_id", "tag_id"):
            _add(caps, device_id, LimitKind.TAG, tag_id, tags)
    credentials = _caps(Credential)
    for device_id, credential_id in credential_of.items() if credentials else ():
        _add(caps, device_id, LimitKind.CREDENTIAL, credential_id, credentials)
    hosts = _caps(JumpHost)
    if hosts or JumpHost.objects.filter(credential__in=credentials).exists():
        for device_id, way in jump_hosts_of(device_ids=device_ids).items():
            for host in way:
                _add(caps, device_id, LimitKind.JUMP_HOST, host.pk, hosts)
                _add(caps, device_id, LimitKind.CREDENTIAL, host.credential_id, credentials)
    return {
        device_id: [key for _, key in sorted(set(entries))] for device_id, entries in caps.items()
    }


def rooms(*, keys: Collection[str], at_claim: bool) -> dict[str, Room]:
    """How much room each limit leaves.

    ``at_claim`` counts the sessions that are open; otherwise devices count as well that got room a
    moment ago and wait for a worker.
    """
    # The sessions first: one that ends in between then counts once too often, never too seldom.
    taken = _sessions_by_key(keys, at_claim=at_claim)
    found: dict[str, Room] = {}
    for kind, of_kind in _by_kind(keys).items():
        if kind in CAPPED_KINDS:
            found |= _capped_rooms(of_kind, taken)
        elif kind is LimitKind.RUN:
            found |= _ramp_rooms(of_kind, at_claim=at_claim)
        elif kind is LimitKind.PROBATION:
            found |= _probation_rooms(of_kind, taken, at_claim=at_claim)
        elif kind is LimitKind.DEVICE:
            found |= _device_rooms(of_kind)
    return found


def caps_of(*, keys: Iterable[str]) -> dict[str, SessionLimit]:
    """The caps behind ``keys`` as they are at this moment; one query per kind. Others are left out.

    A thing that was deleted, or has no cap any more, has none.
    """
    found = {}
    for kind, of_kind in _by_kind(keys).items():
        if kind not in CAPPED_KINDS:
            continue
        ids = {parse_key(key)[1][0]: key for key in of_kind}
        rows = _MODELS[kind]._default_manager.filter(pk__in=ids, max_sessions__isnull=False)
        for pk, name, sessions in rows.order_by().values_list("pk", "name", "max_sessions"):
            what = f"{kind.value.replace('_', ' ')} '{name}'"
            found[ids[pk]] = SessionLimit(what=what, sessions=sessions or 1)
    return found


def standings(*, pairs: Collection[tuple[int, int]]) -> dict[tuple[int, int], Standing]:
    """How credentials fare, by run and credential; unknown ones as on the first day."""
    wanted = Q(pk__in=[])
    for run_id, credential_id in pairs:
        wanted |= Q(run=run_id, credential=credential_id)
    found = {pair: Standing() for pair in pairs}
    for row in RunCredential.objects.filter(wanted).order_by():
        found[row.run_id, row.credential_id] = Standing(
            refusals=row.refusals,
            unanswered=row.unanswered,
            is_proven=row.proven_at is not None,
            is_set_aside=row.set_aside_at is not None,
        )
    return found


def parked_lines(*, run_id: int | None = None) -> list[str]:
    """The keys in whose lines devices stand, of one run or of all, each once."""
    parked = DeviceResult.objects.filter(PARKED)
    if run_id is not None:
        parked = parked.filter(run=run_id)
    return list(parked.order_by("parked_key").values_list("parked_key", flat=True).distinct())


def at_log_in(*, run_id: int, credential_id: int) -> int:
    """How many open sessions are or may be at the log-in with a credential that is on probation.

    Those that began before it was on probation ask nobody, so each of them counts.
    """
    probation = limit_key(LimitKind.PROBATION, run_id, credential_id)
    key = limit_key(LimitKind.LOG_IN, run_id, credential_id)
    began_before = Q(run=run_id, credential=credential_id) & ~Q(limit_keys__contains=[probation])
    return DeviceResult.objects.filter(
        began_before | Q(limit_keys__contains=[key]), status=ResultStatus.RUNNING, snapshot=None
    ).count()


def _caps(model: type[Zone | Tag | JumpHost | Credential]) -> dict[int, int]:
    capped = model._default_manager.filter(max_sessions__isnull=False).order_by()
    return {pk: limit for pk, limit in capped.values_list("pk", "max_sessions") if limit}


def _add(
    caps: dict[int, list[tuple[int, str]]],
    device_id: int,
    kind: LimitKind,
    thing_id: int,
    limits: Mapping[int, int],
) -> None:
    if thing_id in limits:
        caps[device_id].append((limits[thing_id], limit_key(kind, thing_id)))


def _by_kind(keys: Iterable[str]) -> dict[LimitKind, list[str]]:
    by_kind: dict[LimitKind, list[str]] = defaultdict(list)
    for key in keys:
        by_kind[parse_key(key)[0]].append(key)
    return by_kind


def _sessions_by_key(keys: Collection[str], *, at_claim: bool) -> Counter[str]:
    uncounted = (LimitKind.DEVICE, LimitKind.RUN)
    counted = [key for key in keys if parse_key(key)[0] not in uncounted]
    counted += [
        limit_key(LimitKind.LOG_IN, *parse_key(key)[1])
        for key in keys_of_kind(keys, LimitKind.PROBATION)
    ]
    if not counted:
        return Counter()
    # With a snapshot the session is over, and the row waits for Git only.
    open_sessions = Q(status=ResultStatus.RUNNING, snapshot=None)
    if not at_claim:
        open_sessions |= RELEASED & Q(queued_at__gt=Now() - RELEASE_HOLDS)
    rows = (
        DeviceResult.objects.filter(open_sessions, limit_keys__overlap=counted)
        .order_by()
        .annotate(key=_Unnest(F("limit_keys"), output_field=CharField()))
        .values_list("key")
        .annotate(Count("pk"))
    )
    return Counter(dict(rows))


class _Unnest(Func):
    function = "unnest"
    set_returning = True


def _capped_rooms(keys: list[str], taken: Counter[str]) -> dict[str, Room]:
    caps = caps_of(keys=keys)
    return {key: _capped_room(caps[key], taken[key]) if key in caps else Room(None) for key in keys}


def _capped_room(cap: SessionLimit, taken: int) -> Room:
    return Room(cap.sessions - taken, f"{cap.what} has room for {cap.sessions} sessions at once")


def _ramp_rooms(keys: list[str], *, at_claim: bool) -> dict[str, Room]:
    ids = {parse_key(key)[1][0]: key for key in keys}
    found = {key: Room(None) for key in keys}
    rows = JobRun.objects.filter(pk__in=ids, starts_per_second__isnull=False).order_by()
    for pk, rate, next_at, now in rows.annotate(now=Now()).values_list(
        "pk", "starts_per_second", "next_start_at", "now"
    ):
        assert rate is not None  # by the filter
        wait = (next_at - now).total_seconds() if next_at else 0.0
        horizon = start_slack_seconds(rate=rate) if at_claim else RAMP_SECONDS
        due = starts_due(rate=rate, wait_seconds=wait, horizon_seconds=horizon)
        sent = 0 if at_claim else _released(ids[pk])
        found[ids[pk]] = Room(due - sent, f"the run begins {rate:g} sessions per second")
    return found


def _released(key: str) -> int:
    return DeviceResult.objects.filter(
        RELEASED, queued_at__gt=Now() - RELEASE_HOLDS, limit_keys__contains=[key]
    ).count()


def _probation_rooms(keys: list[str], taken: Counter[str], *, at_claim: bool) -> dict[str, Room]:
    limit = settings.NETRAVEN.lockout_devices
    pairs = {key: (parse_key(key)[1][0], parse_key(key)[1][1]) for key in keys}
    known = standings(pairs=list(pairs.values()))
    names = dict(
        Credential.objects.filter(pk__in=[credential for _, credential in pairs.values()])
        .order_by()
        .values_list("pk", "name")
    )
    found = {}
    for key, pair in pairs.items():
        sessions = sessions_allowed(known[pair], limit=limit)
        log_ins = log_ins_allowed(known[pair], limit=limit)
        if not limit or sessions is None or log_ins is None:
            found[key] = Room(None)
            continue
        # Who would only be turned away at the log-in is not sent for.
        is_closed = not at_claim and taken[limit_key(LimitKind.LOG_IN, *pair)] >= log_ins
        found[key] = Room(
            0 if is_closed else sessions - taken[key],
            f"credential '{names.get(pair[1], '')}' is on probation until a device takes it",
        )
    return found


def _device_rooms(keys: list[str]) -> dict[str, Room]:
    ids = {parse_key(key)[1][0]: key for key in keys}
    found = {key: Room(1) for key in keys}
    rows = DeviceResult.objects.filter(status=ResultStatus.RUNNING, device__in=ids).order_by()
    for device_id, run_id in rows.values_list("device_id", "run_id"):
        assert device_id is not None  # by the filter
        found[ids[device_id]] = Room(0, f"run {run_id} reads this device")
    return found
