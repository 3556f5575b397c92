"""What runs tell the circuit breakers of devices, and what these tell runs."""

from __future__ import annotations

from collections import defaultdict

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from backups.engine.errors import ErrorCategory
from inventory.breaker import (
    BreakerLimits,
    connections_failed,
    connections_made,
    devices_left_out,
    devices_lock,
)
from inventory.models import Device
from jobs.choices import LogLevel, ResultStatus, Trigger
from jobs.models import JobRun
from jobs.policy import CONNECTION_CATEGORIES, REACHED_CATEGORIES
from jobs.services.logs import job_log

#: From so many devices of one zone on, all of which fail, the fault is taken for ours.
_ALL_FAILED_AT_LEAST = 5

#: A session came about, and brought something.
_CAME_ABOUT = frozenset({ResultStatus.SUCCEEDED, ResultStatus.SUSPECT})


def run_skip_broken(*, run: JobRun) -> None:
    """Skip the devices of a scheduled ``run`` whose circuit breaker is open.

    A person who asks for a run asks for its devices, too: then every one is tried.
    """
    limits = _limits()
    if run.trigger != Trigger.SCHEDULE or not limits.failures:
        return
    waiting = run.results.filter(status=ResultStatus.PENDING, attempts=0, queued_at=None)
    broken = devices_left_out(
        device_ids=[pk for pk in waiting.values_list("device_id", flat=True) if pk is not None]
    )
    for device in broken.values():
        waiting.filter(device=device).update(
            status=ResultStatus.SKIPPED,
            error_category=ErrorCategory.CIRCUIT_OPEN.value,
            error_message=_skipped_because(device),
            finished_at=timezone.now(),
        )
    if broken:
        job_log(
            run=run,
            level=LogLevel.WARNING,
            message=f"{len(broken)} devices are left out: they could not be reached lately",
        )


@transaction.atomic
def run_count_connections(*, run: JobRun) -> None:
    """Count the failed and the made connections of an ended ``run`` against its devices.

    A zone of which no device at all was reached says more about our side of the network than about
    its devices, and counts against none of them.
    """
    limits = _limits()
    if not limits.failures:
        return
    failed: dict[int | None, dict[int, str]] = defaultdict(dict)
    reached: dict[int | None, list[int]] = defaultdict(list)
    rows = run.results.filter(device__isnull=False, attempts__gt=0).values_list(
        "device_id", "device__zone_id", "status", "error_category", "error_message"
    )
    for device_id, zone_id, status, category, message in rows:
        assert device_id is not None  # by the filter
        if category in CONNECTION_CATEGORIES and status == ResultStatus.FAILED:
            failed[zone_id][device_id] = message
        elif category in REACHED_CATEGORIES or status in _CAME_ABOUT:
            reached[zone_id].append(device_id)
    devices_lock(device_ids=[pk for ids in (*failed.values(), *reached.values()) for pk in ids])
    connections_made(device_ids=[pk for ids in reached.values() for pk in ids])
    for zone, reasons in failed.items():
        if not reached[zone] and len(reasons) >= _ALL_FAILED_AT_LEAST:
            _log_our_side(run, len(reasons))
            continue
        for device in connections_failed(reasons=reasons, limits=limits):
            _log_broken(run, device)


def _limits() -> BreakerLimits:
    config = settings.NETRAVEN
    return BreakerLimits(
        failures=config.breaker_failures,
        cooldown_seconds=config.breaker_cooldown_seconds,
        cooldown_max_seconds=config.breaker_cooldown_max_seconds,
    )


def _skipped_because(device: Device) -> str:
    assert device.skipped_until is not None  # that is how it was found
    message = (
        f"left out until {device.skipped_until:%Y-%m-%d %H:%M} UTC after "
        f"{device.connection_failures} failures in a row; the last: {device.skip_reason}"
    )
    return message[:500]


def _log_our_side(run: JobRun, count: int) -> None:
    job_log(
        run=run,
        level=LogLevel.WARNING,
        message=f"none of {count} devices of one zone could be reached: that looks like a fault "
        "of this side of the network and counts against none of them",
    )


def _log_broken(run: JobRun, device: Device) -> None:
    job_log(
        run=run,
        device_id=device.pk,
        level=LogLevel.WARNING,
        message=f"{device.hostname}: {device.connection_failures} failures in a row; scheduled "
        f"runs leave it out until {device.skipped_until:%Y-%m-%d %H:%M} UTC",
    )
