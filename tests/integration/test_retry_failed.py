"""Trying again what failed in a run: a run over those devices, linked to the earlier one."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from inventory.models import Device
from jobs.choices import ResultStatus, RunStatus, Trigger
from jobs.launch import JobDisabled, request_retry, request_run
from jobs.models import DeviceResult, Job, JobLog, JobRun
from jobs.services.breaker import run_skip_broken
from jobs.services.run_creation import JobBusy, NothingToRetry
from netraven_site.demo.simulator import Fault, FaultKind
from tests.factories import DeviceFactory, DeviceResultFactory, JobFactory, JobRunFactory
from tests.support.devices import device_spec, fleet_in_thread
from tests.support.inventory import add_credential, add_device, add_job
from tests.support.waiting import wait_for_end

pytestmark = pytest.mark.django_db

ENDED = sorted(set(ResultStatus) - {"PENDING", "RUNNING", "RETRYING"})


def ended_run(*statuses: str, **fields: object) -> JobRun:
    """A run that has ended, with one device for each of ``statuses``, named after it."""
    now = timezone.now()
    run = JobRunFactory.create(status="COMPLETED_PARTIAL_FAILURE", finished_at=now, **fields)
    for status in statuses:
        device = DeviceFactory.create(hostname=f"{status.lower()}-{run.pk}")
        DeviceResultFactory.create(run=run, device=device, status=status, finished_at=now)
    return run


def retry(run: JobRun, only: list[int] | None = None) -> JobRun:
    return request_retry(run=run, trigger=Trigger.RETRY, requested_by=None, only=only)


def hostnames(run: JobRun) -> list[str]:
    return [result.hostname.rpartition("-")[0] for result in run.results.order_by("hostname")]


def test_the_failed_the_errored_and_the_suspect_are_tried_again() -> None:
    run = ended_run(*ENDED, starts_per_second=2.5)
    again = retry(run)
    assert hostnames(again) == ["errored", "failed", "suspect"]
    assert set(again.results.values_list("status", "attempts", "credential")) == {
        ("PENDING", 0, None)
    }
    assert (again.retry_of, again.job, again.job_name) == (run, run.job, run.job_name)
    assert (again.status, again.trigger, again.total_count) == ("PENDING", "retry", 3)
    assert (again.slot_at, again.starts_per_second) == (None, 2.5)
    assert f"again what failed in run {run.pk}" in JobLog.objects.get(run=again).message


def test_some_of_them_can_be_chosen() -> None:
    run = ended_run("FAILED", "SUSPECT", "SUCCEEDED")
    chosen = run.results.get(status="SUSPECT").pk
    assert hostnames(retry(run, only=[chosen])) == ["suspect"]


def test_only_failed_devices_of_this_run_can_be_chosen() -> None:
    run, other = ended_run("FAILED", "SUCCEEDED"), ended_run("FAILED")
    good, foreign = run.results.get(status="SUCCEEDED").pk, other.results.get().pk
    failed = run.results.get(status="FAILED").pk
    for stranger in (good, foreign, 999_999_999):
        with pytest.raises(NothingToRetry, match=f"run {run.pk}: {stranger};"):
            retry(run, only=[failed, stranger])
    assert JobRun.objects.count() == 2


def test_a_retry_can_be_tried_again() -> None:
    first = retry(ended_run("FAILED"))
    now = timezone.now()
    first.results.update(status="FAILED", finished_at=now)
    JobRun.objects.filter(pk=first.pk).update(status="COMPLETED_FAILURE", finished_at=now)
    assert retry(first).retry_of == first


def test_devices_that_are_gone_are_left_out_and_named() -> None:
    run = ended_run("FAILED", "ERRORED", "SUSPECT")
    Device.objects.filter(hostname__startswith="errored").update(is_active=False)
    Device.objects.get(hostname__startswith="suspect").delete()
    again = retry(run)
    assert hostnames(again) == ["failed"]
    [line] = JobLog.objects.filter(run=again, level="warning").values_list("message", flat=True)
    assert line.startswith("left out") and "errored-" in line and "suspect-" in line
    Device.objects.all().delete()
    with pytest.raises(NothingToRetry, match="deleted or made inactive"):
        retry(run)


def test_a_run_without_failures_has_nothing_to_try_again() -> None:
    run = ended_run("SUCCEEDED", "SKIPPED", "CANCELLED")
    with pytest.raises(NothingToRetry, match=f"no device of run {run.pk} has failed"):
        retry(run)
    assert JobRun.objects.count() == 1


@pytest.mark.parametrize("status", [RunStatus.PENDING, RunStatus.RUNNING])
def test_an_open_run_is_not_tried_again(status: RunStatus) -> None:
    result = DeviceResultFactory.create(
        status="FAILED", finished_at=timezone.now(), run__status=status
    )
    with pytest.raises(NothingToRetry, match="has not ended"):
        retry(result.run)


def test_another_open_run_of_the_job_is_in_the_way() -> None:
    run = ended_run("FAILED")
    other = JobRunFactory.create(job=run.job)
    with pytest.raises(JobBusy, match=f"run {other.pk} of job"):
        retry(run)
    Job.objects.update(allow_overlap=True)
    assert retry(JobRun.objects.get(pk=run.pk)).total_count == 1


def test_a_disabled_job_is_not_tried_again_and_a_deleted_one_is() -> None:
    run = ended_run("FAILED", job=JobFactory.create(is_enabled=False))
    with pytest.raises(JobDisabled):
        retry(run)
    Job.objects.all().delete()
    again = retry(JobRun.objects.get(pk=run.pk))
    assert (again.job, again.job_name) == (None, run.job_name)


def test_the_circuit_breaker_leaves_out_nothing_that_somebody_asks_for() -> None:
    run = ended_run("FAILED")
    Device.objects.update(skipped_until=timezone.now() + timedelta(hours=1))
    again = retry(run)
    DeviceResult.objects.filter(run=again).update(queued_at=None)
    run_skip_broken(run=again)
    assert again.results.get().status == "PENDING"


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("worker")
def test_what_works_the_second_time_succeeds() -> None:
    specs = [
        device_spec("cisco_ios", name, username="netops", password="Pw-1234567", fault=fault)
        for name, fault in (("good", None), ("bad", Fault(FaultKind.AUTH_FAIL)))
    ]
    with fleet_in_thread(*specs) as fleet:
        for spec in specs:
            add_device(spec, *fleet.address(spec.hostname))
        add_credential(specs[0])
        run = wait_for_end(request_run(job=add_job(), trigger=Trigger.MANUAL))
        assert run.status == RunStatus.COMPLETED_PARTIAL_FAILURE
        fleet.set_fault("bad", None)
        again = wait_for_end(retry(run))
        assert again.status == RunStatus.COMPLETED_SUCCESS
        assert [result.hostname for result in again.results.all()] == ["bad"]
        assert fleet.log("good")["config_sessions"] == 1
