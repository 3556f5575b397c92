"""Jobs, their runs, one row per device of a run, and the logs.

The rows are the truth; a Celery message only rings the bell (docs/adr/0002). Every status change
is a conditional update in ``jobs.services``.
"""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower
from django_celery_beat.models import PeriodicTask

from backups.engine.detection import Certainty
from backups.engine.errors import ErrorCategory
from backups.models import Snapshot
from credentials.models import Credential, Tag, validate_name
from inventory.models import Device
from jobs.choices import (
    FINAL_RESULT_STATUSES,
    FINAL_RUN_STATUSES,
    LogLevel,
    ResultStatus,
    RunStatus,
    ScheduleType,
    Trigger,
)
from jobs.schedule_rules import MIN_INTERVAL_SECONDS, ScheduleError, check_schedule


def _choices(
    enum: type[
        RunStatus | ResultStatus | ScheduleType | Trigger | LogLevel | ErrorCategory | Certainty
    ],
) -> list[tuple[str, str]]:
    return [(member.value, member.value.replace("_", " ").capitalize()) for member in enum]


def _sorted(statuses: frozenset[RunStatus] | frozenset[ResultStatus]) -> list[str]:
    """A stable order, so that the constraint reads the same in every migration."""
    return sorted(str(status) for status in statuses)


class Job(models.Model):
    """A saved definition: which devices are backed up, and when.

    It selects every active device that carries at least one of its tags; without tags it selects
    none.
    """

    name = models.CharField(max_length=100, validators=[validate_name])
    description = models.CharField(max_length=255, blank=True)
    is_enabled = models.BooleanField(default=True, help_text="A disabled job does not start.")
    tags = models.ManyToManyField(Tag, blank=True, related_name="jobs")
    schedule_type = models.CharField(
        max_length=10, choices=_choices(ScheduleType), default=ScheduleType.NONE.value
    )
    interval_seconds = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(MIN_INTERVAL_SECONDS)]
    )
    cron = models.CharField(
        max_length=100,
        blank=True,
        help_text="Minute, hour, day of month, month, day of week: 0 2 * * * is 02:00 every day.",
    )
    run_at = models.DateTimeField(null=True, blank=True)
    time_zone = models.CharField(
        max_length=64, default="UTC", help_text="Time zone of the cron expression."
    )
    #: The one entry of the scheduler that belongs to this job; ``jobs.schedules`` keeps it.
    periodic_task = models.OneToOneField(
        PeriodicTask, on_delete=models.SET_NULL, null=True, blank=True, editable=False
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]
        permissions = [("run_job", "Can run jobs")]
        constraints = [
            models.UniqueConstraint(
                Lower("name"),
                name="job_name_unique",
                violation_error_message="There is already a job with this name.",
            ),
            models.CheckConstraint(
                condition=Q(schedule_type__in=[str(kind) for kind in ScheduleType]),
                name="job_schedule_type_known",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        if self.schedule_type not in set(ScheduleType):
            return  # reported by the field's own check
        try:
            check_schedule(
                schedule_type=ScheduleType(self.schedule_type),
                interval_seconds=self.interval_seconds,
                cron=self.cron,
                run_at=self.run_at,
                time_zone=self.time_zone,
                now=self.created_at if self._has_kept_run_at() else None,
            )
        except ScheduleError as error:
            raise ValidationError({error.field: error.message}) from error

    def _has_kept_run_at(self) -> bool:
        """Whether the time of a one-time job is the stored one: it may have passed since."""
        return (
            self.run_at is not None
            and self.pk is not None
            and Job.objects.filter(pk=self.pk, run_at=self.run_at).exists()
        )


class JobRun(models.Model):
    """One execution of a job. Its devices are frozen as DeviceResult rows when it is created."""

    job = models.ForeignKey(
        Job, on_delete=models.SET_NULL, null=True, blank=True, related_name="runs"
    )
    #: Name of the job when the run was asked for; outlives the job.
    job_name = models.CharField(max_length=100)
    status = models.CharField(
        max_length=32, choices=_choices(RunStatus), default=RunStatus.PENDING.value
    )
    #: Why the run ended as it did, where the counts do not say it; one line.
    status_reason = models.CharField(max_length=500, blank=True)
    trigger = models.CharField(max_length=10, choices=_choices(Trigger))
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True
    )
    #: The planned time that a scheduled run answers; None for any other.
    slot_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    #: When the start was last asked of a worker.
    queued_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    #: A run that is still open then is ended.
    deadline_at = models.DateTimeField()
    total_count = models.PositiveIntegerField(default=0)
    succeeded_count = models.PositiveIntegerField(default=0)
    failed_count = models.PositiveIntegerField(default=0)
    errored_count = models.PositiveIntegerField(default=0)
    suspect_count = models.PositiveIntegerField(default=0)
    skipped_count = models.PositiveIntegerField(default=0)
    cancelled_count = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(
                fields=["id"],
                name="jobrun_open",
                condition=Q(status__in=["PENDING", "RUNNING"]),
            )
        ]
        constraints = [
            models.UniqueConstraint(fields=["job", "slot_at"], name="jobrun_slot_once"),
            models.CheckConstraint(
                condition=Q(status__in=_sorted(frozenset(RunStatus))), name="jobrun_status_known"
            ),
            models.CheckConstraint(
                condition=Q(status__in=_sorted(FINAL_RUN_STATUSES), finished_at__isnull=False)
                | (Q(finished_at__isnull=True) & ~Q(status__in=_sorted(FINAL_RUN_STATUSES))),
                name="jobrun_finished_when_final",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.job_name} #{self.pk}"

    @property
    def duration_seconds(self) -> float | None:
        """Seconds from start to end, or None while the run has not ended."""
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()


class DeviceResult(models.Model):
    """One device in one job run."""

    run = models.ForeignKey(JobRun, on_delete=models.CASCADE, related_name="results")
    device = models.ForeignKey(Device, on_delete=models.SET_NULL, null=True, related_name="results")
    #: Hostname when the run was asked for; outlives the device.
    hostname = models.CharField(max_length=255)
    status = models.CharField(
        max_length=10, choices=_choices(ResultStatus), default=ResultStatus.PENDING.value
    )
    #: Claims so far, and the fencing token: every write of a task carries the value of its claim.
    attempts = models.PositiveSmallIntegerField(default=0)
    #: Claims whose worker died.
    losses = models.PositiveSmallIntegerField(default=0)
    #: Until when the claim holds, by the database's clock.
    lease_until = models.DateTimeField(null=True, blank=True)
    #: When a message for this row was last sent.
    queued_at = models.DateTimeField(null=True, blank=True)
    #: When a RETRYING row may be claimed again.
    retry_at = models.DateTimeField(null=True, blank=True)
    credential = models.ForeignKey(
        Credential, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    error_category = models.CharField(max_length=32, blank=True, choices=_choices(ErrorCategory))
    error_message = models.CharField(max_length=500, blank=True)
    config_changed = models.BooleanField(null=True, blank=True)
    snapshot = models.ForeignKey(
        Snapshot, on_delete=models.SET_NULL, null=True, blank=True, related_name="results"
    )
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    duration_seconds = models.FloatField(null=True, blank=True)

    #: Suffix of the error message that was cut to its column.
    CUT: ClassVar[str] = "…"

    class Meta:
        ordering = ["hostname", "id"]
        indexes = [
            models.Index(fields=["run", "status"], name="result_run_status"),
            models.Index(fields=["device", "-id"], name="result_device_newest"),
            models.Index(
                fields=["lease_until"], name="result_lease", condition=Q(status="RUNNING")
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["run", "device"], name="result_once_per_run"),
            models.CheckConstraint(
                condition=Q(status__in=_sorted(frozenset(ResultStatus))),
                name="result_status_known",
            ),
            models.CheckConstraint(
                condition=Q(status__in=_sorted(FINAL_RESULT_STATUSES), finished_at__isnull=False)
                | (Q(finished_at__isnull=True) & ~Q(status__in=_sorted(FINAL_RESULT_STATUSES))),
                name="result_finished_when_final",
            ),
            models.CheckConstraint(
                condition=~Q(status="RUNNING") | Q(lease_until__isnull=False),
                name="result_running_has_lease",
            ),
            models.CheckConstraint(
                condition=Q(attempts__gte=F("losses")), name="result_losses_are_attempts"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.hostname} in run {self.run_id}"

    @property
    def commit(self) -> str:
        """Commit in which the device's configuration stands, or an empty text."""
        return self.snapshot.commit if self.snapshot else ""


class RunLog(models.Model):
    """What both logs of a run have in common: a redacted line with a level and a time."""

    level = models.CharField(max_length=8, choices=_choices(LogLevel))
    message = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True
        ordering = ["id"]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return self.message


class JobLog(RunLog):
    """What happened in a run, in plain words."""

    run = models.ForeignKey(JobRun, on_delete=models.CASCADE, related_name="logs")
    device = models.ForeignKey(
        Device, on_delete=models.SET_NULL, null=True, blank=True, related_name="job_logs"
    )


class ConnectionLog(RunLog):
    """How one session with a device went: phases, commands, error. Redacted, never raw output."""

    run = models.ForeignKey(JobRun, on_delete=models.CASCADE, related_name="connection_logs")
    device = models.ForeignKey(
        Device, on_delete=models.SET_NULL, null=True, blank=True, related_name="connection_logs"
    )
    attempt = models.PositiveSmallIntegerField()


class DetectionState(models.TextChoices):
    """Where a platform detection stands."""

    PENDING = "PENDING", "Waits for a worker"
    RUNNING = "RUNNING", "A worker asks the device"
    DONE = "DONE", "Done"
    FAILED = "FAILED", "Failed"


class PlatformDetection(models.Model):
    """One attempt to find out what a device runs, and whether somebody took the answer over."""

    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="platform_detections")
    #: Platform of the device when the detection was asked for.
    platform_before = models.CharField(max_length=64)
    state = models.CharField(
        max_length=7, choices=DetectionState.choices, default=DetectionState.PENDING
    )
    #: Empty until it is done.
    certainty = models.CharField(max_length=9, blank=True, choices=_choices(Certainty))
    #: What was found; empty where it is unknown.
    platform = models.CharField(max_length=64, blank=True)
    #: How that was found out, one redacted line per step.
    evidence = models.JSONField(default=list)
    #: What the device said of itself, by the names in ``inventory.platforms.definition.Fact``.
    facts = models.JSONField(default=dict)
    error_category = models.CharField(max_length=32, blank=True, choices=_choices(ErrorCategory))
    error_message = models.CharField(max_length=500, blank=True)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True
    )
    requested_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    #: Name of the user who took the platform over, or ``command line (NAME)``.
    accepted_by = models.CharField(max_length=200, blank=True)
    accepted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        indexes = [
            models.Index(
                fields=["id"],
                name="detection_open",
                condition=Q(state__in=["PENDING", "RUNNING"]),
            )
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=DetectionState.values), name="detection_state_known"
            ),
            models.CheckConstraint(
                condition=Q(state__in=["DONE", "FAILED"], finished_at__isnull=False)
                | Q(state__in=["PENDING", "RUNNING"], finished_at__isnull=True),
                name="detection_finished_when_final",
            ),
            models.CheckConstraint(
                condition=Q(state="DONE", certainty__in=["confirmed", "likely"]) & ~Q(platform="")
                | Q(state="DONE", certainty="unknown", platform="")
                | ~Q(state="DONE") & Q(certainty="", platform=""),
                name="detection_platform_unless_unknown",
            ),
            models.CheckConstraint(
                condition=Q(accepted_by="", accepted_at__isnull=True)
                | ~Q(accepted_by="") & Q(accepted_at__isnull=False) & ~Q(platform=""),
                name="detection_accepted_by_someone",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.device.hostname} of {self.requested_at:%Y-%m-%d %H:%M}"


class ReconcilerTick(models.Model):
    """One row that elects who reconciles: whoever moves ``last_at`` may."""

    last_at = models.DateTimeField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"last reconciled {self.last_at:%Y-%m-%d %H:%M:%S}"
