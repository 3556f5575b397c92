"""A row in every table that the admin shows."""

from __future__ import annotations

from django.contrib.auth.models import Group
from django.utils import timezone

from backups.models import (
    Archive,
    ChangeAcknowledgement,
    GitRemote,
    HistoryDeletion,
    RetentionPolicy,
    SecretUse,
)
from backups.services.archives import archive_read
from backups.services.store import RunLabel, backup_store
from credentials.models import Credential
from inventory.models import CredentialUse, Device, HostKeyChange
from jobs.choices import LogLevel
from jobs.models import (
    ChangeNotice,
    ConnectionLog,
    JobLog,
    JobRun,
    NotificationEvent,
    NotificationMessage,
    NotificationRule,
    NotificationTarget,
    RunCredential,
    WorkerProcess,
)
from netraven_site.models import ApiToken
from tests.factories import (
    CredentialFactory,
    DeviceFactory,
    DeviceResultFactory,
    JobFactory,
    JumpHostFactory,
    PlatformDetectionFactory,
    TagFactory,
    UserFactory,
    ZoneFactory,
    backup_outcome,
)

HOSTILE = "<script>alert(1)</script>"
CANARY = "Zq9-CANARY"


def a_row_of_everything() -> None:
    """One more row in every table that the admin shows, with hostile text where text may stand."""
    credential = CredentialFactory.create(tags=["all"], enable_secret=f"{CANARY}-enable")
    device = DeviceFactory.create(
        tags=["all"], credential=credential, zone=ZoneFactory.create(), description=HOSTILE
    )
    job = JobFactory.create(tags=["all"], schedule_type="cron", cron="0 2 * * *")
    result = DeviceResultFactory.create(run__job=job, device=device, error_message=HOSTILE)
    label = RunLabel(run_id=result.run.pk, job_name=job.name)
    snapshot = backup_store(device=device, outcome=backup_outcome(f"{HOSTILE}\n"), label=label)
    result.snapshot = snapshot
    result.save()
    suspect = backup_outcome(f"{HOSTILE}\n", suspicions=(HOSTILE,))
    backup_store(device=device, outcome=suspect, label=label)
    PlatformDetectionFactory.create(device=device, evidence=[HOSTILE], error_message=HOSTILE)
    archive = Archive.objects.get(snapshot=snapshot)
    archive_read(archive=archive, reader="me", reason=HOSTILE)
    for log in (JobLog, ConnectionLog):
        values = {"attempt": 1} if log is ConnectionLog else {}
        log._default_manager.create(
            run=result.run, device=device, level=LogLevel.INFO.value, message=HOSTILE, **values
        )
    _what_people_leave(device, credential)
    _what_workers_leave(device, credential, result.run)
    told_rows(device, result.run)


def _what_people_leave(device: Device, credential: Credential) -> None:
    number = device.pk
    tag = TagFactory.create(name=f"tag-of-{number}")
    jump_host = JumpHostFactory.create(credential=credential)
    policy = RetentionPolicy.objects.create(name=f"policy{number}")
    policy.tags.add(tag)
    GitRemote.objects.create(
        name=f"remote{number}",
        url="https://git.example/configs.git",
        zone=device.zone,
        credential=credential,
        error=HOSTILE,
    )
    HistoryDeletion.objects.create(
        hostname=device.hostname,
        device_id=number,
        snapshot_count=1,
        archive_count=1,
        suspect_count=1,
        deleted_by=HOSTILE,
    )
    HostKeyChange.objects.create(
        host=device.hostname, device=device, jump_host=jump_host, changed_by=HOSTILE
    )
    ChangeAcknowledgement.objects.create(
        change_digest="0" * 64, device_count=1, note=HOSTILE, acknowledged_by=HOSTILE
    )
    user = UserFactory.create(first_name=HOSTILE[:100])
    user.groups.add(Group.objects.create(name=f"group{number}"))
    ApiToken.objects.create(user=user, name=HOSTILE)


def told_rows(device: Device, run: JobRun) -> None:
    """A notice of a change, and everything that a message takes; once per device and run."""
    now = timezone.now()
    ChangeNotice.objects.create(
        device=device, noticed_at=now, due_at=now, changed_by=HOSTILE, told_by=HOSTILE
    )
    target = NotificationTarget.objects.create(name=f"target{device.pk}", error=HOSTILE)
    rule = NotificationRule.objects.create(name=f"rule{device.pk}", events=["run_failed"])
    rule.targets.add(target)
    NotificationEvent.objects.create(
        key=f"event:{device.pk}",
        kind="run_failed",
        severity="critical",
        run=run,
        device=device,
        subject=HOSTILE,
        text=HOSTILE,
    )
    NotificationMessage.objects.create(
        rule=rule, target=target, key=f"run:{run.pk}", run=run, subject=HOSTILE, due_at=now
    )


def _what_workers_leave(device: Device, credential: Credential, run: JobRun) -> None:
    now = timezone.now()
    CredentialUse.objects.create(device=device, credential=credential, last_success_at=now)
    RunCredential.objects.create(run=run, credential=credential, set_aside_at=now, reason=HOSTILE)
    SecretUse.objects.create(
        device=device,
        place=HOSTILE,
        place_digest="0" * 64,
        occurrence=0,
        line_number=1,
        token="1f0c9a77",
        first_seen_at=now,
        changed_at=now,
    )
    WorkerProcess.objects.create(
        node=f"{HOSTILE}@host{device.pk}",
        host="host",
        pid=1,
        queues=["devices"],
        concurrency=1,
        started_at=now,
        seen_at=now,
    )
