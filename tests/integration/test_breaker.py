"""Devices that cannot be reached are left out for a while, and only they."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from backups.engine.errors import ErrorCategory
from inventory.breaker import BreakerLimits, breaker_reset, cooldown_seconds
from inventory.models import Device, Zone
from jobs.choices import ResultStatus, RunStatus, Trigger
from jobs.launch import request_run
from jobs.models import DeviceResult, JobLog, JobRun
from jobs.services.runs import run_finalise, run_start
from tests.factories import (
    DeviceFactory,
    DeviceResultFactory,
    JobRunFactory,
    UserFactory,
    ZoneFactory,
    user_with,
)
from tests.support.devices import device_spec, fleet_in_thread
from tests.support.inventory import add_credential, add_device, add_job
from tests.support.waiting import wait_for_end

pytestmark = pytest.mark.django_db

LIMITS = BreakerLimits(failures=3, cooldown_seconds=60, cooldown_max_seconds=200)
REFUSED = ErrorCategory.CONNECTION_REFUSED


@pytest.mark.parametrize(
    ("failures", "seconds"), [(0, None), (2, None), (3, 60), (4, 120), (5, 200), (5000, 200)]
)
def test_each_further_failure_doubles_the_cooldown(failures: int, seconds: float | None) -> None:
    assert cooldown_seconds(failures=failures, limits=LIMITS) == seconds


def test_zero_switches_the_breaker_off() -> None:
    off = BreakerLimits(failures=0, cooldown_seconds=60, cooldown_max_seconds=200)
    assert cooldown_seconds(failures=100, limits=off) is None


def ended_run(*outcomes: tuple[Device, ErrorCategory | None]) -> JobRun:
    """A run over devices that failed with a category or, with None, succeeded."""
    run = JobRunFactory.create()
    for device, category in outcomes:
        DeviceResultFactory.create(
            run=run,
            device=device,
            attempts=1,
            status=ResultStatus.SUCCEEDED if category is None else ResultStatus.FAILED,
            error_category=category or "",
            error_message="" if category is None else "192.0.2.1 port 22 refused the connection",
            finished_at=timezone.now(),
        )
    assert run_finalise(run=run)
    return run


def broken_device() -> Device:
    return DeviceFactory.create(
        connection_failures=5,
        skipped_until=timezone.now() + timedelta(hours=1),
        skip_reason="no answer",
    )


def scheduled_result(device: Device, trigger: Trigger = Trigger.SCHEDULE) -> DeviceResult:
    run = JobRunFactory.create(trigger=trigger.value, status=RunStatus.PENDING.value)
    result = DeviceResultFactory.create(run=run, device=device, queued_at=None)
    assert run_start(run=run)
    result.refresh_from_db()
    return result


def test_failures_in_a_row_break_the_circuit() -> None:
    device = DeviceFactory.create()
    for _ in range(4):
        ended_run((device, REFUSED))
    device.refresh_from_db()
    assert (device.connection_failures, device.skipped_until) == (4, None)
    run = ended_run((device, REFUSED))
    device.refresh_from_db()
    assert device.skipped_until is not None and device.skipped_until > timezone.now()
    assert "refused" in device.skip_reason
    assert JobLog.objects.filter(run=run, device=device, message__contains="5 failures").exists()


@pytest.mark.parametrize(
    "category", [None, ErrorCategory.AUTHENTICATION, ErrorCategory.READ_TIMEOUT]
)
def test_a_session_that_came_about_closes_the_breaker(category: ErrorCategory | None) -> None:
    device = broken_device()
    ended_run((device, category))
    device.refresh_from_db()
    assert (device.connection_failures, device.skipped_until, device.skip_reason) == (0, None, "")


@pytest.mark.parametrize(
    "category",
    [ErrorCategory.DNS_FAILURE, ErrorCategory.JUMP_HOST, ErrorCategory.DEADLINE],
)
def test_failures_on_the_way_count_neither_way(category: ErrorCategory) -> None:
    device = broken_device()
    others = [DeviceFactory.create() for _ in range(5)]
    ended_run((device, category), *((other, REFUSED) for other in others))
    device.refresh_from_db()
    assert device.connection_failures == 5
    assert not Device.objects.filter(pk__in=[one.pk for one in others]).exclude(
        connection_failures=0
    ), "none was reached, so the zone as a whole is out of reach"


@pytest.mark.parametrize(
    "category",
    [ErrorCategory.STORE_FAILURE, ErrorCategory.WORKER_LOST, ErrorCategory.CREDENTIAL_FAILURE],
)
def test_our_own_failures_count_neither_way(category: ErrorCategory) -> None:
    device = DeviceFactory.create(connection_failures=2)
    run = JobRunFactory.create()
    DeviceResultFactory.create(
        run=run,
        device=device,
        attempts=1,
        status=ResultStatus.ERRORED,
        error_category=category,
        finished_at=timezone.now(),
    )
    run_finalise(run=run)
    device.refresh_from_db()
    assert device.connection_failures == 2


def test_a_zone_that_is_out_of_reach_as_a_whole_counts_against_none() -> None:
    zone: Zone = ZoneFactory.create()
    here = DeviceFactory.create()
    there = [DeviceFactory.create(zone=zone) for _ in range(5)]
    run = ended_run((here, REFUSED), *((device, REFUSED) for device in there))
    here.refresh_from_db()
    assert here.connection_failures == 1
    assert not Device.objects.filter(zone=zone, connection_failures__gt=0).exists()
    assert JobLog.objects.filter(run=run, message__contains="this side of the network").exists()


def test_one_device_of_the_zone_that_was_reached_makes_the_others_count() -> None:
    devices = [DeviceFactory.create() for _ in range(6)]
    ended_run((devices[0], None), *((device, REFUSED) for device in devices[1:]))
    assert Device.objects.filter(connection_failures=1).count() == 5


def test_a_scheduled_run_skips_with_the_reason() -> None:
    result = scheduled_result(broken_device())
    assert (result.status, result.error_category) == (
        ResultStatus.SKIPPED,
        ErrorCategory.CIRCUIT_OPEN,
    )
    assert "5 failures in a row; the last: no answer" in result.error_message
    assert run_finalise(run=result.run)
    assert JobRun.objects.get(pk=result.run_id).status == RunStatus.COMPLETED_FAILURE


def test_a_run_that_a_person_asked_for_tries_every_device() -> None:
    result = scheduled_result(broken_device(), trigger=Trigger.COMMAND)
    assert result.status == ResultStatus.PENDING


def test_after_the_cooldown_the_device_is_tried_again() -> None:
    device = broken_device()
    Device.objects.update(skipped_until=timezone.now() - timedelta(seconds=1))
    assert scheduled_result(device).status == ResultStatus.PENDING


def test_a_reset_forgets_the_failures() -> None:
    device = broken_device()
    assert breaker_reset(devices=Device.objects.all()) == 1
    assert scheduled_result(device).status == ResultStatus.PENDING
    assert breaker_reset(devices=Device.objects.all()) == 0


# --- The doors ----------------------------------------------------------------------------------


def failures() -> dict[str, int]:
    return dict(Device.objects.values_list("hostname", "connection_failures"))


def test_the_command_resets_the_named_devices() -> None:
    for _ in range(3):
        broken_device()
    names = sorted(failures())
    out = io.StringIO()
    call_command("reset_breaker", names[0].upper(), names[1], stdout=out)
    assert "2 devices had failures" in out.getvalue()
    assert failures() == {names[0]: 0, names[1]: 0, names[2]: 5}
    call_command("reset_breaker", "--all", stdout=out)
    assert failures()[names[2]] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "one HOST or more"),
        (["sw", "--all"], "or --all"),
        (["sw", "none"], "nothing was reset"),
    ],
)
def test_the_command_says_what_is_wrong(arguments: list[str], message: str) -> None:
    device = broken_device()
    Device.objects.update(hostname="sw")
    with pytest.raises(CommandError, match=message):
        call_command("reset_breaker", *arguments)
    device.refresh_from_db()
    assert device.connection_failures == 5


@pytest.mark.usefixtures("web")
def test_the_api_resets_one_device() -> None:
    device, other = broken_device(), broken_device()
    client = Client()
    client.force_login(user_with("inventory.view_device"))
    path = f"/api/v1/devices/{device.pk}/reset-breaker/"
    assert client.post(path).status_code == 403
    client.force_login(user_with("inventory.change_device"))
    answer = client.post(path)
    assert answer.status_code == 200
    found = answer.json()
    assert (found["id"], found["connection_failures"], found["skipped_until"]) == (
        device.pk,
        0,
        None,
    )
    assert failures() == {device.hostname: 0, other.hostname: 5}


@pytest.mark.usefixtures("web")
def test_the_admin_lists_and_resets_what_is_left_out() -> None:
    broken, again, fine = broken_device(), broken_device(), DeviceFactory.create()
    Device.objects.filter(pk=again.pk).update(skipped_until=timezone.now() - timedelta(hours=1))
    client = Client()
    client.force_login(UserFactory.create(is_superuser=True, is_staff=True))
    page = reverse("admin:inventory_device_changelist")

    def listed(choice: str) -> set[str]:
        shown = client.get(page, {"left_out": choice}).context["cl"].queryset
        return {device.hostname for device in shown}

    assert listed("yes") == {broken.hostname}
    assert listed("no") == {again.hostname, fine.hostname}
    body = {"action": "reset_breaker", "_selected_action": [broken.pk, fine.pk]}
    shown = client.post(page, body, follow=True).content.decode()
    assert "1 devices had failures" in shown
    assert failures() == {broken.hostname: 0, again.hostname: 5, fine.hostname: 0}


@pytest.mark.usefixtures("web")
def test_the_admin_asks_for_the_right_to_change() -> None:
    device = broken_device()
    user = user_with("inventory.view_device")
    user.is_staff = True
    user.save()
    client = Client()
    client.force_login(user)
    body = {"action": "reset_breaker", "_selected_action": [device.pk]}
    client.post(reverse("admin:inventory_device_changelist"), body)
    assert failures() == {device.hostname: 5}


# --- With a worker ------------------------------------------------------------------------------


@pytest.mark.usefixtures("worker")
def test_a_device_out_of_reach_from_the_first_failure_to_the_reset(
    configure: Callable[..., None],
) -> None:
    configure(breaker_failures=2, retry_attempts=1, connect_timeout_seconds=2)
    spec = device_spec("cisco_ios", "gone")
    device = add_device(spec, "127.0.0.1", 1)
    add_credential(spec)
    job = add_job()

    def result_of_a_scheduled_run() -> DeviceResult:
        run = wait_for_end(request_run(job=job, trigger=Trigger.SCHEDULE))
        return run.results.get()

    for _ in range(2):
        result = result_of_a_scheduled_run()
        assert (result.status, result.error_category) == ("FAILED", "connection_refused")
    skipped = result_of_a_scheduled_run()
    assert (skipped.status, skipped.error_category, skipped.attempts) == (
        "SKIPPED",
        "circuit_open",
        0,
    )
    assert "after 2 failures in a row; the last: " in skipped.error_message

    call_command("reset_breaker", "gone", stdout=io.StringIO())
    with fleet_in_thread(spec) as fleet:
        _, port = fleet.address("gone")
        Device.objects.filter(pk=device.pk).update(port=port)
        back = result_of_a_scheduled_run()
    assert (back.status, back.attempts) == ("SUCCEEDED", 1)
