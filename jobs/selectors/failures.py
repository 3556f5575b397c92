"""The failures of a run in groups: by cause, or by what the devices have in common."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Count, OuterRef, QuerySet

from credentials.models import Tag
from inventory.models import Device
from inventory.selectors import WaysOfAll, ways_of_all
from jobs.choices import FAILURE_STATUSES
from jobs.models import DeviceResult, JobRun
from jobs.policy import (
    TRAITS,
    Cause,
    GroupBy,
    Share,
    advice_for,
    cause_in_words,
    cause_of,
    telling_shares,
    trait_group_in_words,
)
from jobs.policy.transitions import RETRYABLE_STATUSES
from jobs.selectors.visibility import results_in

_Key = TypeVar("_Key", str, Cause)

#: Hostnames that a group gives as examples.
EXAMPLES = 10
_NOTHING = ("",)
#: Those of which a device has one; a way over two jump hosts is one as well.
_SINGLE_TRAITS = (GroupBy.CREDENTIAL, GroupBy.ZONE, GroupBy.JUMP_HOST, GroupBy.PLATFORM)


class GroupNotFound(Exception):
    """A run has no such group of failures. The message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureGroup:
    """Failures of a run that belong together."""

    by: GroupBy
    #: Names the group: short and stable for a cause, else the name of the credential, zone, tag,
    #: platform or jump host, which is empty for devices without one.
    key: str
    count: int
    #: The group in one line.
    summary: str
    #: The message that all have in common but for ``…``; empty unless grouped by cause.
    message: str
    #: The message of the first device as it is.
    example_message: str
    #: What to do about the category that most of them have.
    what_to_do: str
    #: Failures by status and by error category, the most frequent first.
    statuses: dict[str, int]
    categories: dict[str, int]
    #: Failures by trait and name, the most frequent first. A device counts for each of its tags.
    traits: dict[str, dict[str, int]]
    #: The first hostnames, in order.
    hostnames: tuple[str, ...]
    #: Device results that a retry may be asked for: skipped devices were not tried at all.
    retry_ids: tuple[int, ...]


class _Row(NamedTuple):
    """One device of the run that failed."""

    result_id: int
    hostname: str
    address: str
    status: str
    category: str
    message: str
    #: The names of what it has of each trait, in the order of TRAITS; ``("",)`` for nothing.
    traits: tuple[tuple[str, ...], ...]


class _Run(NamedTuple):
    """All devices of the run, however they ended."""

    total: int
    #: Devices by trait and name.
    traits: Mapping[GroupBy, Counter[str]]
    failed: Sequence[_Row]


def failure_groups(
    *, run: JobRun, by: GroupBy = GroupBy.CAUSE, scope: QuerySet[Device] | None = None
) -> list[FailureGroup]:
    """The failed, errored, suspect and skipped devices of ``run``, the largest group first.

    Asks five queries, however many devices there are. A device with several tags or jump
    hosts is in several groups. What devices have in common is read from the inventory as it is;
    the credential is the one that the run chose. Only devices in ``scope`` count (None = all).
    """
    devices = _devices(run, scope)
    groups = _by_cause(devices) if by is GroupBy.CAUSE else _by_trait(devices, by)
    return sorted(groups, key=lambda group: (-group.count, group.key))


def failure_group(
    *, run: JobRun, by: GroupBy, key: str, scope: QuerySet[Device] | None = None
) -> FailureGroup:
    """One of the groups of ``failure_groups`` by its ``key``. Raises GroupNotFound."""
    groups = failure_groups(run=run, by=by, scope=scope)
    for group in groups:
        if group.key == key:
            return group
    keys = ", ".join(f"'{group.key}'" for group in groups[:5])
    known = f"the first ones are {keys}" if groups else "nothing failed in it"
    raise GroupNotFound(f"run {run.pk} has no failures by {by} under '{key}'; {known}")


def group_was_skipped(group: FailureGroup) -> str:
    """Why a group without a device that was tried is not tried again, and what to do."""
    return (
        f"the {group.count} devices of '{group.key}' were skipped, not tried; {group.what_to_do}, "
        "then run the job"
    )


def _devices(run: JobRun, scope: QuerySet[Device] | None) -> _Run:
    """What failed row by row; of all the others it is enough to know how many have a trait."""
    ways = ways_of_all(path="device")
    results = results_in(run=run, scope=scope).order_by().annotate(last_host=ways.last_host)
    total, counts = 0, _no_counts()
    columns = ("credential__name", "device__zone__name", "last_host", "device__platform")
    for *names, count in results.values_list(*columns).annotate(count=Count("pk")):
        total += count
        for trait, found in zip(_SINGLE_TRAITS, _traits(ways, *names), strict=True):
            for name in found:
                counts[trait][name] += count
    tags = results.values_list("device__tags__name").annotate(count=Count("pk"))
    counts[GroupBy.TAG].update({name or "": count for name, count in tags})
    return _Run(total, counts, _failed(results, ways, columns))


def _failed(results: QuerySet[DeviceResult], ways: WaysOfAll, columns: Sequence[str]) -> list[_Row]:
    carried = Tag.objects.filter(devices=OuterRef("device_id")).order_by("name").values("name")
    rows = (
        results.filter(status__in=FAILURE_STATUSES)
        .order_by("hostname", "pk")
        .values_list(
            "pk",
            "hostname",
            "device__ip_address",
            "status",
            "error_category",
            "error_message",
            ArraySubquery(carried),
            *columns,
        )
    )
    failed = []
    for pk, hostname, address, status, category, message, tags, *names in rows:
        credential, zone, jumps, platform = _traits(ways, *names)
        traits = (credential, zone, jumps, tuple(tags) or _NOTHING, platform)
        failed.append(_Row(pk, hostname, address or "", status, category, message, traits))
    return failed


def _traits(
    ways: WaysOfAll,
    credential: str | None,
    zone: str | None,
    last_host: int | None,
    platform: str | None,
) -> tuple[tuple[str, ...], ...]:
    """The names of ``_SINGLE_TRAITS``."""
    jumps = tuple(host.name for host in ways.by_last_host.get(last_host or 0, ()))
    return ((credential or "",), (zone or "",), jumps or _NOTHING, (platform or "",))


def _by_cause(run: _Run) -> Iterator[FailureGroup]:
    for cause, members in _members(run.failed, _causes_of):
        traits = _trait_counts(members)
        shares = [
            Share(trait=trait, name=name, count=count, run_count=run.traits[trait][name])
            for trait, names in traits.items()
            for name, count in names.items()
        ]
        telling = telling_shares(shares=shares, group_count=len(members), run_total=run.total)
        summary = cause_in_words(category=cause.category, count=len(members), shares=telling)
        yield _group(GroupBy.CAUSE, cause.key, members, traits, summary, cause.message)


def _by_trait(run: _Run, by: GroupBy) -> Iterator[FailureGroup]:
    place = TRAITS.index(by)
    for name, members in _members(run.failed, lambda row: row.traits[place]):
        summary = trait_group_in_words(
            trait=by,
            name=name,
            count=len(members),
            run_count=run.traits[by][name],
            categories=_counted(row.category for row in members),
        )
        yield _group(by, name, members, _trait_counts(members), summary, "")


def _causes_of(row: _Row) -> tuple[Cause]:
    names = (row.hostname, row.address)
    return (cause_of(category=row.category, message=row.message, names=names),)


def _members(
    rows: Iterable[_Row], keys: Callable[[_Row], Iterable[_Key]]
) -> Iterable[tuple[_Key, list[_Row]]]:
    members: dict[_Key, list[_Row]] = defaultdict(list)
    for row in rows:
        for key in keys(row):
            members[key].append(row)
    return members.items()


def _group(
    by: GroupBy,
    key: str,
    members: Sequence[_Row],
    traits: Mapping[GroupBy, Counter[str]],
    summary: str,
    message: str,
) -> FailureGroup:
    categories = _counted(row.category for row in members)
    return FailureGroup(
        by=by,
        key=key,
        count=len(members),
        summary=summary,
        message=message,
        example_message=members[0].message,
        what_to_do=advice_for(next(iter(categories))).what_to_do,
        statuses=_counted(row.status for row in members),
        categories=categories,
        traits={str(trait): dict(names.most_common()) for trait, names in traits.items()},
        hostnames=tuple(row.hostname for row in members[:EXAMPLES]),
        retry_ids=tuple(row.result_id for row in members if row.status in RETRYABLE_STATUSES),
    )


def _trait_counts(rows: Iterable[_Row]) -> dict[GroupBy, Counter[str]]:
    counts = _no_counts()
    for row in rows:
        for trait, names in zip(TRAITS, row.traits, strict=True):
            for name in names:
                counts[trait][name] += 1
    return counts


def _no_counts() -> dict[GroupBy, Counter[str]]:
    return {trait: Counter() for trait in TRAITS}


def _counted(values: Iterable[str]) -> dict[str, int]:
    return dict(Counter(values).most_common())
