"""A run whose devices failed in several ways."""

from __future__ import annotations

from django.utils import timezone

from backups.engine.errors import ErrorCategory
from credentials.models import Credential
from inventory.models import Device
from jobs.choices import ResultStatus, RunStatus
from jobs.models import DeviceResult, JobRun
from tests.factories import DeviceFactory, DeviceResultFactory, JobRunFactory


def ended_run(**values: object) -> JobRun:
    """A run that has ended; ``run_finalise`` has not counted its devices."""
    fields = {"status": RunStatus.COMPLETED_PARTIAL_FAILURE.value, "finished_at": timezone.now()}
    return JobRunFactory.create(**(fields | values))


def failed_result(
    run: JobRun,
    category: ErrorCategory = ErrorCategory.CONNECTION_TIMEOUT,
    message: str = "it did not answer",
    *,
    status: ResultStatus = ResultStatus.FAILED,
    credential: Credential | None = None,
    **device: object,
) -> DeviceResult:
    """A device of ``run`` that failed; ``device`` are its fields, ``tags`` names."""
    return DeviceResultFactory.create(
        run=run,
        device=DeviceFactory.create(**device),
        status=status.value,
        error_category=category.value,
        error_message=message,
        credential=credential,
        attempts=1,
        finished_at=timezone.now(),
    )


def good_result(run: JobRun, *, credential: Credential | None = None, **device: object) -> None:
    """A device of ``run`` that was backed up."""
    DeviceResultFactory.create(
        run=run,
        device=DeviceFactory.create(**device),
        status=ResultStatus.SUCCEEDED.value,
        credential=credential,
        attempts=1,
        config_changed=False,
        finished_at=timezone.now(),
    )


def many_failed(run: JobRun, count: int, *, credential: Credential) -> None:
    """So many devices of ``run`` that all failed, each with a message of its own."""
    devices = Device.objects.bulk_create(
        Device(
            hostname=f"bulk{number:05}",
            ip_address=f"10.{number // 65536}.{number // 256 % 256}.{number % 256}",
            platform="cisco_ios",
        )
        for number in range(count)
    )
    DeviceResult.objects.bulk_create(
        DeviceResult(
            run=run,
            device=device,
            hostname=device.hostname,
            status=ResultStatus.FAILED.value,
            error_category=ErrorCategory.CONNECTION_TIMEOUT.value,
            error_message=f"{device.ip_address} port 22 did not answer in time",
            credential=credential,
            attempts=3,
            finished_at=timezone.now(),
            duration_seconds=float(number % 100),
        )
        for number, device in enumerate(devices)
    )
