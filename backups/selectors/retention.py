"""How long raw copies and logs of which devices are kept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.conf import settings

from backups.models import RetentionPolicy
from inventory.models import Device


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long is kept what belongs to one device."""

    #: None keeps raw copies however old they are.
    archive_days: int | None
    #: So many of the newest raw copies are kept whatever their age.
    archive_count: int
    #: None keeps logs however old they are.
    log_days: int | None


def retention_default() -> Retention:
    """What counts for devices that no policy fits, and for logs of no device."""
    config = settings.NETRAVEN
    return Retention(
        archive_days=config.archive_retention_days,
        archive_count=config.archive_retention_count,
        log_days=config.log_retention_days,
    )


def retention_combined(retentions: Sequence[Retention]) -> Retention:
    """Of several, whatever keeps more, each figure by itself. There must be one at least."""
    return Retention(
        archive_days=_longest([each.archive_days for each in retentions]),
        archive_count=max(each.archive_count for each in retentions),
        log_days=_longest([each.log_days for each in retentions]),
    )


def retentions_of(*, device_ids: Iterable[int]) -> dict[int, Retention]:
    """The retention of each of these devices; two queries."""
    ids = set(device_ids)
    policies = {
        policy.pk: Retention(
            archive_days=policy.archive_days,
            archive_count=policy.archive_count,
            log_days=policy.log_days,
        )
        for policy in RetentionPolicy.objects.all()
    }
    fitting: dict[int, set[int]] = defaultdict(set)
    tags = Device.tags.through.objects.filter(
        device_id__in=ids, tag__retention_policies__isnull=False
    )
    for device_id, policy_id in tags.values_list("device_id", "tag__retention_policies"):
        fitting[device_id].add(policy_id)
    default = retention_default()
    return {
        device_id: _of_policies([policies[pk] for pk in fitting[device_id] if pk in policies])
        or default
        for device_id in ids
    }


def _of_policies(retentions: Sequence[Retention]) -> Retention | None:
    return retention_combined(retentions) if retentions else None


def _longest(days: Sequence[int | None]) -> int | None:
    known = [each for each in days if each is not None]
    return max(known) if len(known) == len(days) else None
