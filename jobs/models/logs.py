"""What happened in runs and in their sessions."""

from __future__ import annotations

from django.db import models

from inventory.models import Device
from jobs.choices import LogLevel
from jobs.models.columns import choices_of
from jobs.models.runs import JobRun


class RunLog(models.Model):
    """What both logs of a run have in common: a redacted line with a level and a time."""

    level = models.CharField(max_length=8, choices=choices_of(LogLevel))
    message = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True
        ordering = ["id"]
        default_permissions = ("view",)
        # Pages of both logs together are read by time.
        indexes = [models.Index(fields=["created_at", "id"], name="%(class)s_by_time")]

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
