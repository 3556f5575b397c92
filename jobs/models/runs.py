"""One execution of a job."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from jobs.choices import FINAL_RUN_STATUSES, RunStatus, Trigger
from jobs.models.columns import RUN_STATUSES, choices_of, in_order
from jobs.models.jobs import Job


class JobRun(models.Model):
    """One execution of a job. Its devices are frozen as DeviceResult rows when it is created."""

    job = models.ForeignKey(
        Job, on_delete=models.SET_NULL, null=True, blank=True, related_name="runs"
    )
    #: Name of the job when the run was asked for; outlives the job.
    job_name = models.CharField(max_length=100)
    status = models.CharField(max_length=32, choices=RUN_STATUSES, default=RunStatus.PENDING.value)
    #: Why the run ended as it did, where the counts do not say it; one line.
    status_reason = models.CharField(max_length=500, blank=True)
    trigger = models.CharField(max_length=10, choices=choices_of(Trigger))
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True
    )
    #: The run whose failed devices this one tries again.
    retry_of = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="retries"
    )
    #: Name of the user who cancelled it, or ``command line (NAME)``.
    cancelled_by = models.CharField(max_length=200, blank=True)
    #: Sessions that the run begins per second at the most; None for no limit.
    starts_per_second = models.FloatField(null=True, blank=True)
    #: Before when no further session begins, where ``starts_per_second`` says how many may.
    next_start_at = models.DateTimeField(null=True, blank=True)
    #: The planned time that a scheduled run answers; None for any other.
    slot_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    #: When the start was last asked of a worker.
    queued_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    #: A run that is still open then is ended.
    deadline_at = models.DateTimeField()
    #: When its end was made known to whoever wants to be told; None until then.
    notified_at = models.DateTimeField(null=True, blank=True)
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
            ),
            models.Index(
                fields=["id"],
                name="jobrun_unnotified",
                condition=Q(finished_at__isnull=False, notified_at=None),
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["job", "slot_at"], name="jobrun_slot_once"),
            models.CheckConstraint(
                condition=Q(status__in=in_order(frozenset(RunStatus))), name="jobrun_status_known"
            ),
            models.CheckConstraint(
                condition=Q(status__in=in_order(FINAL_RUN_STATUSES), finished_at__isnull=False)
                | (Q(finished_at__isnull=True) & ~Q(status__in=in_order(FINAL_RUN_STATUSES))),
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
