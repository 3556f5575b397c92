"""How long raw copies and logs are kept, and who deleted a history."""

from __future__ import annotations

from django.core.validators import MinValueValidator
from django.db import models

from credentials.models import Tag, keep_tags_of, validate_name, validate_shown


class RetentionPolicy(models.Model):
    """How long archives and logs of the devices with certain tags are kept.

    The redacted history in Git stays in any case. Of several policies that fit a device the one
    that keeps more counts, each figure by itself; devices that none fits have those of the
    configuration.
    """

    name = models.CharField(max_length=100, unique=True, validators=[validate_name, validate_shown])
    tags = models.ManyToManyField(Tag, related_name="retention_policies")
    #: Empty keeps archives however old they are.
    archive_days = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)]
    )
    #: The newest so many archives are kept however old they are.
    archive_count = models.PositiveIntegerField(
        default=1,
        validators=[MinValueValidator(1)],
        help_text="So many of the newest archives are kept whatever their age.",
    )
    #: Empty keeps logs however old they are.
    log_days = models.PositiveIntegerField(null=True, blank=True, validators=[MinValueValidator(1)])

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "retention policies"

    def __str__(self) -> str:
        return self.name


# A policy without tags fits no device.
keep_tags_of(RetentionPolicy.tags.through)


class HistoryDeletion(models.Model):
    """Who deleted stored revisions of a device on purpose, and when; outlives the device."""

    hostname = models.CharField(max_length=255)
    #: As a plain value: the device may be deleted next.
    device_id = models.PositiveBigIntegerField()
    #: What was collected before this moment was deleted; None for everything.
    before = models.DateTimeField(null=True)
    snapshot_count = models.PositiveIntegerField()
    archive_count = models.PositiveIntegerField()
    suspect_count = models.PositiveIntegerField()
    #: Name of the user, or ``command line (NAME)`` with the system user's name.
    deleted_by = models.CharField(max_length=200)
    deleted_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-deleted_at"]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.hostname}: by {self.deleted_by}"
