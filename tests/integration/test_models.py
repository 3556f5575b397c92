"""What the database itself refuses, whoever writes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.db.models import Model
from django.utils import timezone

from backups.models import Archive, ArchiveReading, Snapshot
from backups.services.archives import archive_read
from backups.services.store import RunLabel, backup_store
from credentials.models import Credential, Tag
from inventory.models import Device, Zone
from jobs.choices import FINAL_RESULT_STATUSES, FINAL_RUN_STATUSES, ResultStatus, RunStatus
from jobs.models import DeviceResult, Job, JobRun
from tests.factories import (
    CredentialFactory,
    DeviceFactory,
    DeviceResultFactory,
    JobFactory,
    JobRunFactory,
    TagFactory,
    ZoneFactory,
    backup_outcome,
)

pytestmark = pytest.mark.django_db

NOW = timezone.now()


def refuses(row: Model, constraint: str, **values: Any) -> None:
    """Writing ``values`` past all validation violates ``constraint``."""
    rows = type(row)._default_manager.filter(pk=row.pk)
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        rows.update(**values)


def test_names_are_unique_in_any_case() -> None:
    TagFactory.create(name="Core")
    refuses(TagFactory.create(name="edge"), "tag_name_unique", name="CORE")
    CredentialFactory.create(name="Login")
    refuses(CredentialFactory.create(), "credential_name_unique", name="lOGIN")
    DeviceFactory.create(hostname="SW1")
    refuses(DeviceFactory.create(), "device_hostname_unique", hostname="sw1")
    JobFactory.create(name="Nightly")
    refuses(JobFactory.create(), "job_name_unique", name="nightly")


def test_values_have_their_bounds() -> None:
    credential, device = CredentialFactory.create(), DeviceFactory.create()
    for priority in (0, 1001):
        refuses(credential, "credential_priority_1_to_1000", priority=priority)
    refuses(credential, "credential_username_not_empty", username="")
    for port in (0, 65536):
        refuses(device, "device_port_range", port=port)
    refuses(device, "device_hostname_not_empty", hostname="")
    refuses(device, "device_address_not_empty", ip_address="")
    refuses(JobFactory.create(), "job_schedule_type_known", schedule_type="sometimes")


@pytest.mark.parametrize("status", RunStatus)
def test_a_run_has_its_end_exactly_when_it_is_final(status: RunStatus) -> None:
    final = status in FINAL_RUN_STATUSES
    JobRun.objects.filter(pk=JobRunFactory.create().pk).update(
        status=status, finished_at=NOW if final else None
    )
    refuses(
        JobRunFactory.create(),
        "jobrun_finished_when_final",
        status=status,
        finished_at=None if final else NOW,
    )


@pytest.mark.parametrize("status", ResultStatus)
def test_a_result_has_its_end_exactly_when_it_is_final(status: ResultStatus) -> None:
    final = status in FINAL_RESULT_STATUSES
    DeviceResult.objects.filter(pk=DeviceResultFactory.create().pk).update(
        status=status, finished_at=NOW if final else None, lease_until=NOW
    )
    refuses(
        DeviceResultFactory.create(),
        "result_finished_when_final",
        status=status,
        finished_at=None if final else NOW,
        lease_until=NOW,
    )


def test_statuses_are_known() -> None:
    refuses(JobRunFactory.create(), "jobrun_status_known", status="DONE")
    refuses(DeviceResultFactory.create(), "result_status_known", status="DONE")


def test_claims_are_whole() -> None:
    result = DeviceResultFactory.create()
    refuses(result, "result_running_has_lease", status="RUNNING", lease_until=None)
    refuses(result, "result_losses_are_attempts", losses=1)
    twin = DeviceResultFactory.create(run=result.run)
    refuses(twin, "result_once_per_run", device=result.device)


def test_a_slot_is_answered_once() -> None:
    first = JobRunFactory.create(slot_at=NOW)
    refuses(JobRunFactory.create(job=first.job), "jobrun_slot_once", slot_at=NOW)
    JobRunFactory.create(job=first.job)
    JobRunFactory.create(job=first.job)


def test_a_snapshot_is_pending_or_committed() -> None:
    backup_store(
        device=DeviceFactory.create(),
        outcome=backup_outcome(),
        label=RunLabel(run_id=1, job_name="j"),
    )
    snapshot = Snapshot.objects.get()
    refuses(snapshot, "snapshot_(state_known|committed_has_commit)", state="LOST")
    refuses(snapshot, "snapshot_committed_has_commit", commit="a" * 40)
    refuses(snapshot, "snapshot_committed_has_commit", state="COMMITTED", pending_text="")
    refuses(snapshot, "snapshot_committed_has_commit", state="COMMITTED", commit="a" * 40)
    archive_read(archive=Archive.objects.get(), reader="r", reason="r")
    reading = ArchiveReading.objects.get()
    refuses(reading, "archive_reading_has_reason", reason="")


@pytest.mark.parametrize(
    "name", ["", " x", "x ", "a;b", "a\nb", "a\x00b", "\x7f", "t" * 65, "\ttab"]
)
def test_names_that_cannot_be_tags(name: str) -> None:
    with pytest.raises(ValidationError):
        Tag(name=name).full_clean()


@pytest.mark.parametrize("name", ["x", "a b", "ünï", "site/rack-1", "core.edge"])
def test_names_that_can_be_tags(name: str) -> None:
    Tag(name=name).full_clean()


@pytest.mark.parametrize("name", ["", "Core", "a b", "-a", "a-", "a.b", "x" * 33, "a\n"])
def test_names_that_cannot_be_zones(name: str) -> None:
    with pytest.raises(ValidationError):
        Zone(name=name).full_clean()


@pytest.mark.parametrize(
    "address",
    ["192.0.2.1", "2001:db8::1", "core.example.net", "core.example.net.", "under_score", "a"],
)
def test_addresses(address: str) -> None:
    Device(hostname="x", ip_address=address, platform="cisco_ios").full_clean()


@pytest.mark.parametrize(
    "address",
    ["", "1.2.3", "1.2.3.999", "256", "a b", "-a", "a-.b", "a..b", "x" * 64, "http://a", "a:22"],
)
def test_no_addresses(address: str) -> None:
    with pytest.raises(ValidationError):
        Device(hostname="x", ip_address=address, platform="cisco_ios").full_clean()


@pytest.mark.parametrize(
    "hostname", ["", "a b", "a\nb", "../../x", "a/b", "a\\b", "<b>", "a;b", "$(x)", "a\x00", "`a`"]
)
def test_no_hostnames(hostname: str) -> None:
    with pytest.raises(ValidationError):
        Device(hostname=hostname, ip_address="192.0.2.1", platform="cisco_ios").full_clean()


def test_an_unknown_kind_of_schedule_is_no_crash() -> None:
    with pytest.raises(ValidationError, match="schedule_type"):
        Job(name="x", schedule_type="sometimes").full_clean()


def test_a_one_time_job_can_be_changed_after_its_time() -> None:
    job = JobFactory.create(schedule_type="onetime", run_at=NOW + timedelta(hours=1))
    Job.objects.update(run_at=NOW - timedelta(hours=1), created_at=NOW - timedelta(days=1))
    job.refresh_from_db()
    job.is_enabled = False
    job.full_clean()
    job.run_at = NOW - timedelta(minutes=1)
    with pytest.raises(ValidationError, match="in the past"):
        job.full_clean()


def test_history_outlives_what_it_is_about() -> None:
    result = DeviceResultFactory.create(credential=CredentialFactory.create())
    assert result.device is not None and result.run.job is not None
    Credential.objects.all().delete()
    result.device.delete()
    result.run.job.delete()
    result.refresh_from_db()
    assert (result.device, result.credential, result.run.job) == (None, None, None)
    assert result.hostname and result.run.job_name


def test_a_zone_or_credential_in_use_stays() -> None:
    device = DeviceFactory.create(zone=ZoneFactory.create(), credential=CredentialFactory.create())
    assert device.zone is not None and device.credential is not None
    for row in (device.zone, device.credential):
        with pytest.raises(IntegrityError), transaction.atomic():
            type(row)._default_manager.filter(pk=row.pk).delete()


def test_migrations_are_complete(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("makemigrations", "--check", "--dry-run")
    assert "No changes detected" in capsys.readouterr().out


def test_checks_find_nothing() -> None:
    call_command("check", fail_level="WARNING")
