"""A device that refuses a credential tries its next one; what worked is tried first next time."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.utils import timezone

from backups.engine.errors import DeviceError, ErrorCategory
from credentials.models import Credential
from credentials.services import credential_create, tags_ensure
from inventory.models import CredentialUse, Device, Zone
from jobs.choices import RunStatus, Trigger
from jobs.launch import request_run
from jobs.models import DeviceResult, JobLog, JobRun, RunCredential
from jobs.services.backup import DeviceDone, failure_record
from jobs.services.claims import Claim
from jobs.services.early_end import run_cancel
from jobs.services.guard import RunGuard
from jobs.services.lockout import credential_accepted, log_in_permit
from jobs.services.results import result_claim
from jobs.services.runs import run_finalise, run_resolve_credentials
from tests.factories import CredentialFactory, DeviceFactory, DeviceResultFactory, JobRunFactory
from tests.support.devices import device_spec, fleet_in_thread
from tests.support.inventory import TAG, add_credential, add_device, add_job
from tests.support.waiting import wait_for_end

REFUSED = DeviceError(ErrorCategory.AUTHENTICATION, "the device refused the log-in")


# --- With the database --------------------------------------------------------------------------


def run_over(*devices: Device) -> JobRun:
    run = JobRunFactory.create()
    for device in devices:
        DeviceResultFactory.create(run=run, device=device, queued_at=None)
    run_resolve_credentials(run=run)
    return run


def begin(run: JobRun, device: Device) -> DeviceResult:
    claimed = result_claim(result_id=run.results.get(device=device).pk)
    assert claimed is not None
    return claimed


def fail(result: DeviceResult, failure: DeviceError = REFUSED) -> DeviceDone:
    guard = RunGuard(result, lambda: None)
    claim = Claim(result.pk, result.attempts)
    done = failure_record(
        result=result,
        claim=claim,
        failure=failure,
        secrets=("Zq9-CANARY-password",),
        guard=guard,
    )
    assert done is not None
    return done


def tried(run: JobRun, device: Device) -> str:
    """Name of the credential that the device refuses next, its status behind it."""
    result = begin(run, device)
    assert result.credential is not None
    done = fail(result)
    return f"{result.credential.name} {done.status}"


@pytest.mark.django_db
def test_each_credential_is_tried_once_in_order() -> None:
    spare = CredentialFactory.create(name="spare")
    zone = Zone.objects.create(name="north", default_credential=spare)
    for priority, name in [(2, "second"), (1, "first")]:
        CredentialFactory.create(name=name, tags=["core"], priority=priority)
    device = DeviceFactory.create(tags=["core"], zone=zone)
    run = run_over(device)
    assert [tried(run, device) for _ in range(3)] == [
        "first RETRYING",
        "second RETRYING",
        "spare FAILED",
    ]
    assert run.results.get().error_category == ErrorCategory.AUTHENTICATION
    lines = [one.message for one in JobLog.objects.filter(message__contains="attempt")]
    assert lines[0].endswith("refused the log-in; tried again with credential 'second'")
    assert lines[-1].endswith("; given up")
    assert CredentialUse.objects.filter(device=device, last_failure_at__isnull=False).count() == 3


@pytest.mark.django_db
def test_a_device_tries_no_more_credentials_than_it_may(configure: Callable[..., None]) -> None:
    configure(credential_attempts=2)
    for name in "abc":
        CredentialFactory.create(name=name, tags=["core"])
    device = DeviceFactory.create(tags=["core"])
    run = run_over(device)
    assert [tried(run, device) for _ in range(2)] == ["a RETRYING", "b FAILED"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "failure",
    [
        DeviceError(ErrorCategory.ENABLE, "no"),
        DeviceError(ErrorCategory.HOST_KEY, "no"),
        DeviceError(ErrorCategory.CREDENTIAL_FAILURE, "no"),
        DeviceError(ErrorCategory.AUTHENTICATION, "no", jump_host="gate"),
    ],
)
def test_what_is_no_refusal_changes_no_credential(failure: DeviceError) -> None:
    for name in "ab":
        CredentialFactory.create(name=name, tags=["core"])
    device = DeviceFactory.create(tags=["core"])
    run = run_over(device)
    done = fail(begin(run, device), failure)
    assert done.retry_seconds is None
    assert run.results.get().credential == Credential.objects.get(name="a")
    assert not CredentialUse.objects.exists()


@pytest.mark.django_db
def test_a_credential_that_is_set_aside_is_passed_over() -> None:
    for name in "abc":
        CredentialFactory.create(name=name, tags=["core"])
    device = DeviceFactory.create(tags=["core"])
    run = run_over(device)
    RunCredential.objects.create(
        run=run,
        credential=Credential.objects.get(name="b"),
        set_aside_at=timezone.now(),
        reason="refused",
    )
    assert tried(run, device) == "a RETRYING"
    assert tried(run, device) == "c FAILED"


@pytest.mark.django_db
def test_devices_that_fall_back_one_by_one_are_on_probation_from_the_first() -> None:
    for name in "ab":
        CredentialFactory.create(name=name, tags=["core"])
    # Two devices have 'b' first and ask nobody; four fall back on it.
    direct = [DeviceFactory.create(tags=["core"], credential=_b()) for _ in range(2)]
    others = [DeviceFactory.create(tags=["core"]) for _ in range(4)]
    run = run_over(*direct, *others)
    credential_accepted(run_id=run.pk, credential_id=Credential.objects.get(name="a").pk)
    for device in direct:
        begin(run, device)
    for device in others[:2]:
        assert tried(run, device) == "a RETRYING"
    assert {tuple(one.limit_keys) for one in run.results.filter(status="RETRYING")} == {
        (f"trial:{run.pk}:{_b().pk}",)
    }
    sessions = [begin(run, device) for device in others[:2]]
    permits = [
        log_in_permit(
            result_id=one.pk,
            attempt=one.attempts,
            run_id=run.pk,
            credential_id=one.credential_id or 0,
        )
        for one in sessions
    ]
    assert permits == [True, False]  # with the two that ask nobody, three may be refused


@pytest.mark.django_db
def test_devices_with_it_as_their_first_ask_once_others_fall_back_on_a_credential() -> None:
    for name in "ab":
        CredentialFactory.create(name=name, tags=["core"])
    direct = [DeviceFactory.create(tags=["core"], credential=_b()) for _ in range(3)]
    other = DeviceFactory.create(tags=["core"])
    run = run_over(*direct, other)
    credential_accepted(run_id=run.pk, credential_id=Credential.objects.get(name="a").pk)
    assert {tuple(one.limit_keys) for one in run.results.filter(credential=_b())} == {()}
    assert tried(run, other) == "a RETRYING"
    assert {tuple(one.limit_keys) for one in run.results.filter(credential=_b())} == {
        (f"trial:{run.pk}:{_b().pk}",)
    }


def _b() -> Credential:
    return Credential.objects.get(name="b")


@pytest.mark.django_db
@pytest.mark.parametrize("end", ["finalise", "cancel"])
def test_the_end_of_a_run_keeps_what_worked(end: str) -> None:
    login = CredentialFactory.create(name="lab", tags=["core"])
    devices = [DeviceFactory.create(tags=["core"]) for _ in range(4)]
    run = run_over(*devices)
    for device, status in zip(
        devices, ["SUCCEEDED", "SUSPECT", "FAILED", "SUCCEEDED"], strict=True
    ):
        run.results.filter(device=device).update(status=status, finished_at=timezone.now())
    devices[3].delete()
    if end == "cancel":
        assert run_cancel(run=run, cancelled_by="ops")
    else:
        assert run_finalise(run=run)
    kept = {one.device: one for one in CredentialUse.objects.filter(credential=login)}
    assert set(kept) == set(devices[:2])
    assert kept[devices[0]].last_success_at == run.results.get(device=devices[0]).finished_at


@pytest.mark.django_db
def test_a_later_run_renews_what_worked_and_an_earlier_one_does_not() -> None:
    login = CredentialFactory.create(tags=["core"])
    device = DeviceFactory.create(tags=["core"])
    times = []
    for _ in range(2):
        run = run_over(device)
        now = timezone.now()
        run.results.update(status="SUCCEEDED", finished_at=now)
        times.append((run, now))
    for run, _ in reversed(times):
        run_finalise(run=run)
    use = CredentialUse.objects.get(credential=login)
    assert use.last_success_at == times[1][1]


# --- With devices and workers -------------------------------------------------------------------


@pytest.mark.usefixtures("worker")
def test_a_run_falls_back_and_the_next_one_begins_with_what_worked() -> None:
    spec = device_spec("cisco_ios", "sw1", password="Pw-1234567")
    credential_create(
        name="wrong",
        username="netops",
        password="not-this-one",
        priority=1,
        tags=tags_ensure(names=[TAG]),
    )
    add_credential(spec, "right")
    with fleet_in_thread(spec) as fleet:
        add_device(spec, *fleet.address("sw1"))
        job = add_job()
        for log_ins in (2, 3):
            run = wait_for_end(request_run(job=job, trigger=Trigger.MANUAL))
            assert run.status == RunStatus.COMPLETED_SUCCESS
            assert fleet.log("sw1")["login_attempts"] == log_ins
    result = run.results.get()
    assert result.credential == Credential.objects.get(name="right")
    assert result.attempts == 1 and result.error_category == ""
