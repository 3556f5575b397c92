"""Connection tests from where the device is reached: by a worker of its zone, if it has one.

The device's id goes out in a message, and how far each step got comes back as the task's result; it
holds no secret, and is removed when it was read.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

from celery import shared_task
from celery.result import AsyncResult
from django.conf import settings
from django.db.models import QuerySet

from backups.engine.collector import LogInStep
from backups.engine.errors import ErrorCategory
from backups.engine.netmiko_collector.probe import StepOutcome, StepReport
from credentials.models import Credential
from inventory.models import Device
from inventory.resolution import credential_candidates
from jobs.broker import BROKER_DOWN
from jobs.policy.tally import LogInTally
from jobs.queues import worker_command, zone_queue
from jobs.services.connection_test import DEADLINE_SECONDS, ConnectionTest, connection_test

#: From the message to the worker's first step, and from its last one back.
_ON_THE_WAY_SECONDS = 10.0
#: From the question to the end of the waiting.
LONGEST_SECONDS = _ON_THE_WAY_SECONDS + DEADLINE_SECONDS
_SHORTEST_WAIT_SECONDS = 0.05
_LONGEST_WAIT_SECONDS = 0.5
#: Devices that are tested at once, and the most that somebody is to wait for.
TESTS_AT_ONCE = 8


class TooManyTests(Exception):
    """More devices are to be tested than somebody would wait for. The message says what to do."""


def connection_test_from_its_zone(*, device: Device) -> ConnectionTest:
    """Log in to ``device`` and out again, from a worker of its zone; without one, from here.

    As ``connection_test``. Where no worker answers in time, or the broker is down, the answer says
    so under the category ``worker_lost``. The zone is to be loaded.
    """
    if device.zone is None:
        return connection_test(device=device)
    queue = zone_queue(device.zone.name)
    try:
        asked = try_connection.apply_async((device.pk,), queue=queue, expires=LONGEST_SECONDS)
        answer = _wait_for(asked)
    except BROKER_DOWN:
        return _unanswered(device, "the broker is down: start Redis and try again")
    if answer is None:
        return _unanswered(
            device,
            f"no worker of zone '{device.zone.name}' answered in time; on a host that reaches the "
            f"zone run '{worker_command(queue)}'",
        )
    return _read(answer)


def connections_test_from_their_zones(*, devices: Sequence[Device]) -> Iterator[ConnectionTest]:
    """The tests of ``devices``, a few at once, in their order. Their zones are to be loaded.

    A credential that several of them refuse in a row is not tried on the others, as in a run.
    """
    tally = LogInTally(limit=settings.NETRAVEN.lockout_devices)
    candidates = credential_candidates(device_ids=[device.pk for device in devices])

    def test(device: Device) -> ConnectionTest:
        first = next(iter(candidates[device.pk]), None)
        return _test_watched(device, first.credential if first else None, tally)

    with ThreadPoolExecutor(TESTS_AT_ONCE) as pool:
        yield from pool.map(test, devices)


def _test_watched(
    device: Device, credential: Credential | None, tally: LogInTally
) -> ConnectionTest:
    """The test of one device, unless too many others have refused its credential."""
    if credential is None:
        return connection_test_from_its_zone(device=device)
    reason = tally.begin(credential.pk)
    if reason is not None:
        return ConnectionTest(
            hostname=device.hostname,
            credential=credential.name,
            error_category=ErrorCategory.CREDENTIAL_SET_ASIDE.value,
            error_message=f"'{credential.name}' was not tried, so that its account is not locked: "
            f"{reason}; correct it and test again",
        )
    was_taken = None
    try:
        test = connection_test_from_its_zone(device=device)
        was_taken = test.credential_was_taken
        return test
    finally:
        tally.end(credential.pk, device.hostname, was_taken=was_taken)


def connections_test_while_waiting(
    *, devices: QuerySet[Device]
) -> list[tuple[Device, ConnectionTest]]:
    """The same for somebody who waits for the page: each device, by hostname, with its test.

    Raises TooManyTests.
    """
    chosen = list(devices.select_related("zone").order_by("hostname")[: TESTS_AT_ONCE + 1])
    if len(chosen) > TESTS_AT_ONCE:
        raise TooManyTests(
            f"At most {TESTS_AT_ONCE} connections are tested at once; tick fewer devices, or use "
            "'manage.py test_connection'."
        )
    return list(zip(chosen, connections_test_from_their_zones(devices=chosen), strict=True))


@shared_task(name="jobs.test_connection", acks_late=False)
def try_connection(device_id: int) -> dict[str, Any] | None:
    """The test, in a worker; None when the device has gone meanwhile."""
    device = Device.objects.select_related("zone").filter(pk=device_id).first()
    return None if device is None else asdict(connection_test(device=device))


def _wait_for(asked: AsyncResult[Any]) -> dict[str, Any] | None:
    """What the worker answered; None when it did not, in time or at all."""
    deadline = time.monotonic() + LONGEST_SECONDS
    wait = _SHORTEST_WAIT_SECONDS
    while time.monotonic() < deadline:
        meta = asked.backend.get_task_meta(asked.id, cache=False)
        if meta["status"] in asked.backend.READY_STATES:
            asked.forget()
            return meta["result"] if meta["status"] == "SUCCESS" else None
        time.sleep(wait)
        wait = min(2 * wait, _LONGEST_WAIT_SECONDS)
    return None


def _read(answer: dict[str, Any]) -> ConnectionTest:
    steps = tuple(
        StepReport(
            step=LogInStep(step["step"]),
            outcome=StepOutcome(step["outcome"]),
            seconds=step["seconds"],
        )
        for step in answer["steps"]
    )
    return ConnectionTest(**{**answer, "steps": steps})


def _unanswered(device: Device, message: str) -> ConnectionTest:
    return ConnectionTest(
        hostname=device.hostname,
        error_category=ErrorCategory.WORKER_LOST.value,
        error_message=message,
    )
