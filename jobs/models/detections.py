"""Attempts to find out what devices run."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from backups.engine.detection import Certainty
from backups.engine.errors import ErrorCategory
from credentials.models import Credential
from inventory.models import Device
from jobs.models.columns import choices_of


class DetectionState(models.TextChoices):
    """Where a platform detection stands."""

    PENDING = "PENDING", "Waits for a worker"
    RUNNING = "RUNNING", "A worker asks the device"
    DONE = "DONE", "Done"
    FAILED = "FAILED", "Failed"


class PlatformDetection(models.Model):
    """One attempt to find out what a device runs, and whether somebody took the answer over."""

    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="platform_detections")
    #: What it logged in with; None before it began, and where there was none.
    credential = models.ForeignKey(
        Credential, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    #: Platform of the device when the detection was asked for.
    platform_before = models.CharField(max_length=64)
    state = models.CharField(
        max_length=7, choices=DetectionState.choices, default=DetectionState.PENDING
    )
    #: Empty until it is done.
    certainty = models.CharField(max_length=9, blank=True, choices=choices_of(Certainty))
    #: What was found; empty where it is unknown.
    platform = models.CharField(max_length=64, blank=True)
    #: How that was found out, one redacted line per step.
    evidence = models.JSONField(default=list)
    #: What the device said of itself, by the names in ``inventory.platforms.definition.Fact``.
    facts = models.JSONField(default=dict)
    error_category = models.CharField(max_length=32, blank=True, choices=choices_of(ErrorCategory))
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
