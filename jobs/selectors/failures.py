"""The failures of a run in groups: by cause, or by what the devices have in common."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from django.db.models import QuerySet

from inventory.models import Device
from inventory.selectors import jump_hosts_of
from jobs.choices import FAILURE_STATUSES
from jobs.models import JobRun
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


@dataclass(frozen=True, slots=True)
class _Row:
    """One device of the run."""

    result_id: int
    hostname: str
    address: str
    status: str
    category: str
    message: str
    #: The names of what it has of each trait, in the order of TRAITS; ``("",)`` for nothing.
    traits: tuple[tuple[str, ...], ...]

    @property
    def failed(self) -> bool:
        return self.status in FAILURE_STATUSES


def failure_groups(
    *, run: JobRun, by: GroupBy = GroupBy.CAUSE, scope: QuerySet[Device] | None = None
) -> list[FailureGroup]:
    """The failed, errored, suspect and skipped devices of ``run``, the largest group first.

    Asks at most 6 queries, however many devices there are. A device with several tags or jump
    hosts is in several groups. What devices have in common is read from the inventory as it is;
    the credential is the one that the run chose. Only devices in ``scope`` count (None = all).
    """
    rows = _rows(run, scope)
    groups = _by_cause(rows) if by is GroupBy.CAUSE else _by_trait(rows, by)
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


def _rows(run: JobRun, scope: QuerySet[Device] | None) -> list[_Row]:
    values = list(
        results_in(run=run, scope=scope)
        .order_by("hostname", "pk")
        .values_list(
            "pk",
            "hostname",
            "device__ip_address",
            "status",
            "error_category",
            "error_message",
            "device_id",
            "credential__name",
            "device__zone__name",
            "device__platform",
        )
    )
    tags = _tags(run)
    jumps = jump_hosts_of(device_ids=[row[6] for row in values if row[6] is not None])
    nothing = ("",)
    return [
        _Row(
            result_id=pk,
            hostname=hostname,
            address=address or "",
            status=status,
            category=category,
            message=message,
            traits=(
                (credential or "",),
                (zone or "",),
                tuple(host.name for host in jumps.get(device_id or 0, ())) or nothing,
                tags.get(device_id or 0, nothing),
                (platform or "",),
            ),
        )
        for (
            pk,
            hostname,
            address,
            status,
            category,
            message,
            device_id,
            credential,
            zone,
            platform,
        ) in values
    ]


def _tags(run: JobRun) -> Mapping[int, tuple[str, ...]]:
    pairs = Device.tags.through.objects.filter(device__results__run=run)
    tags: dict[int, tuple[str, ...]] = {}
    for device_id, name in pairs.order_by("tag__name").values_list("device_id", "tag__name"):
        tags[device_id] = (*tags.get(device_id, ()), name)
    return tags


def _by_cause(rows: Sequence[_Row]) -> Iterator[FailureGroup]:
    run_counts = _trait_counts(rows)
    for cause, members in _members(rows, _causes_of):
        traits = _trait_counts(members)
        shares = [
            Share(trait=trait, name=name, count=count, run_count=run_counts[trait][name])
            for trait, names in traits.items()
            for name, count in names.items()
        ]
        telling = telling_shares(shares=shares, group_count=len(members), run_total=len(rows))
        summary = cause_in_words(category=cause.category, count=len(members), shares=telling)
        yield _group(GroupBy.CAUSE, cause.key, members, traits, summary, cause.message)


def _by_trait(rows: Sequence[_Row], by: GroupBy) -> Iterator[FailureGroup]:
    place = TRAITS.index(by)
    run_counts = _trait_counts(rows)[by]
    for name, members in _members(rows, lambda row: row.traits[place]):
        summary = trait_group_in_words(
            trait=by,
            name=name,
            count=len(members),
            run_count=run_counts[name],
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
        if row.failed:
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
    counts: dict[GroupBy, Counter[str]] = {trait: Counter() for trait in TRAITS}
    for row in rows:
        for trait, names in zip(TRAITS, row.traits, strict=True):
            for name in names:
                counts[trait][name] += 1
    return counts


def _counted(values: Iterable[str]) -> dict[str, int]:
    return dict(Counter(values).most_common())
