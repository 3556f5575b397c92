"""One device in one run."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from backups.engine.errors import ErrorCategory
from backups.models import Snapshot
from credentials.models import Credential
from inventory.models import Device
from jobs.choices import FINAL_RESULT_STATUSES, ResultStatus
from jobs.models.columns import choices_of, in_order
from jobs.models.runs import JobRun

#: A row that waits for room without a message. Whatever ends it ends that as well.
PARKED = Q(status="PENDING", parked_at__isnull=False)
#: A row that was parked, got room, and has not been claimed since.
RELEASED = Q(status="PENDING", parked_at=None) & ~Q(parked_reason="")


class DeviceResult(models.Model):
    """One device in one job run."""

    run = models.ForeignKey(JobRun, on_delete=models.CASCADE, related_name="results")
    device = models.ForeignKey(Device, on_delete=models.SET_NULL, null=True, related_name="results")
    #: Hostname when the run was asked for; outlives the device.
    hostname = models.CharField(max_length=255)
    status = models.CharField(
        max_length=10, choices=choices_of(ResultStatus), default=ResultStatus.PENDING.value
    )
    #: Claims so far, and the fencing token: every write of a task carries the value of its claim.
    attempts = models.PositiveSmallIntegerField(default=0)
    #: Claims whose worker died.
    losses = models.PositiveSmallIntegerField(default=0)
    #: Claims that were given back: the worker was stopped, or the log-in was withheld.
    given_back = models.PositiveSmallIntegerField(default=0)
    #: Until when the claim holds, by the database's clock.
    lease_until = models.DateTimeField(null=True, blank=True)
    #: When a message for this row was last sent.
    queued_at = models.DateTimeField(null=True, blank=True)
    #: When a RETRYING row may be claimed again.
    retry_at = models.DateTimeField(null=True, blank=True)
    #: What limits its session, the tightest first: see ``jobs.policy.limits``. Frozen at dispatch.
    limit_keys = ArrayField(models.CharField(max_length=64), default=list, blank=True)
    #: Since when a PENDING row is parked. It means nothing in any other status.
    parked_at = models.DateTimeField(null=True, blank=True)
    #: Whose line it stands in while it is parked: one of the limits, or the device itself.
    parked_key = models.CharField(max_length=64, blank=True)
    #: What it is parked for, or was parked for last; empty if what held it is gone.
    parked_reason = models.CharField(max_length=200, blank=True)
    #: Who changed the device, where a notice of a change has asked for the backup.
    changed_by = models.CharField(max_length=100, blank=True, db_default="")
    credential = models.ForeignKey(
        Credential, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    error_category = models.CharField(max_length=32, blank=True, choices=choices_of(ErrorCategory))
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
            models.Index(fields=["parked_key", "id"], name="result_parked", condition=PARKED),
            models.Index(fields=["queued_at"], name="result_released", condition=RELEASED),
        ]
        constraints = [
            models.UniqueConstraint(fields=["run", "device"], name="result_once_per_run"),
            # Two runs never read one device at the same time.
            models.UniqueConstraint(
                fields=["device"], name="result_one_session", condition=Q(status="RUNNING")
            ),
            models.CheckConstraint(
                condition=Q(status__in=in_order(frozenset(ResultStatus))),
                name="result_status_known",
            ),
            models.CheckConstraint(
                condition=Q(status__in=in_order(FINAL_RESULT_STATUSES), finished_at__isnull=False)
                | (Q(finished_at__isnull=True) & ~Q(status__in=in_order(FINAL_RESULT_STATUSES))),
                name="result_finished_when_final",
            ),
            models.CheckConstraint(
                condition=~Q(status="RUNNING") | Q(lease_until__isnull=False),
                name="result_running_has_lease",
            ),
            models.CheckConstraint(
                condition=Q(attempts__gte=F("losses") + F("given_back")),
                name="result_losses_are_attempts",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.hostname} in run {self.run_id}"

    @property
    def own_attempts(self) -> int:
        """Attempts that count for the device: neither lost with a worker nor given back."""
        return self.attempts - self.losses - self.given_back

    @property
    def waits_for(self) -> str:
        """What a parked device waits for, one line; empty for one that is not parked."""
        is_parked = self.status == ResultStatus.PENDING and self.parked_at is not None
        return self.parked_reason if is_parked else ""

    @property
    def commit(self) -> str:
        """Commit in which the device's configuration stands, or an empty text."""
        return self.snapshot.commit if self.snapshot else ""
