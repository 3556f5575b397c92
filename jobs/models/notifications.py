"""Who is told of what, and the messages.

``jobs.notifications`` makes events of the rows of ended runs, and messages of events. The keys are
unique, so that looking at a row twice tells nothing twice.
"""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from credentials.models import Tag, keep_tags_of, validate_name, validate_shown
from inventory.models import Device
from jobs.choices import EventKind, MessageState, Severity, TargetKind
from jobs.models.columns import choices_of
from jobs.models.runs import JobRun
from jobs.schedule_rules import ScheduleError, check_time_zone, parse_blackouts


class NotificationTarget(models.Model):
    """Where messages go. The address holds secrets: it is sealed, and nothing shows it."""

    name = models.CharField(max_length=100, unique=True, validators=[validate_name, validate_shown])
    kind = models.CharField(
        max_length=8, choices=choices_of(TargetKind), default=TargetKind.APPRISE.value
    )
    is_enabled = models.BooleanField(default=True)
    #: Scheme and, where it is no secret, host of the address: what people know it by.
    address = models.CharField(max_length=200, blank=True, editable=False)
    seal_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    sealed_url = models.BinaryField(null=True, editable=False)
    #: Signs the messages of a webhook.
    sealed_signing_secret = models.BinaryField(null=True, editable=False)

    #: Until when somebody is at it; until when it is left alone after failures.
    busy_until = models.DateTimeField(null=True, blank=True, editable=False)
    retry_at = models.DateTimeField(null=True, blank=True, editable=False)
    failures = models.PositiveIntegerField(default=0, editable=False)
    #: Why the last message did not get there, one line; empty after one that did.
    error = models.CharField(max_length=500, blank=True, editable=False)
    sent_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class NotificationRule(models.Model):
    """Which events are told to which targets, and when."""

    name = models.CharField(max_length=100, unique=True, validators=[validate_name, validate_shown])
    is_enabled = models.BooleanField(default=True)
    events = ArrayField(models.CharField(max_length=20, choices=choices_of(EventKind)))
    minimum_severity = models.CharField(
        max_length=8, choices=choices_of(Severity), default=Severity.INFO.value
    )
    tags = models.ManyToManyField(
        Tag,
        blank=True,
        related_name="notification_rules",
        help_text="Only devices and jobs with one of these; empty for all.",
    )
    targets = models.ManyToManyField(NotificationTarget, related_name="rules")
    is_digest = models.BooleanField(
        "one message per run",
        default=True,
        help_text="All events of a run in one message; else a message for each.",
    )
    repeat_failures = models.BooleanField(
        default=False, help_text="Also tell of failures that were told of at the run before."
    )
    attach_diff = models.BooleanField(
        default=True, help_text="Add what changed, redacted and not too much of it."
    )
    quiet_hours = models.TextField(
        blank=True,
        max_length=1000,
        help_text="Messages wait until these are over: daily 22:00-06:00, sat,sun 00:00-24:00.",
    )
    time_zone = models.CharField(max_length=64, default="UTC", help_text="Of the quiet hours.")
    critical_breaks_quiet = models.BooleanField("critical events break the quiet", default=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Raise ValidationError for quiet hours or a time zone that mean nothing."""
        try:
            check_time_zone(self.time_zone)
            parse_blackouts(self.quiet_hours, self.time_zone)
        except ScheduleError as error:
            field = "time_zone" if error.field == "time_zone" else "quiet_hours"
            raise ValidationError({field: error.message}) from error


# A rule without tags is one for all devices.
keep_tags_of(NotificationRule.tags.through)


class NotificationEvent(models.Model):
    """Something that happened and that a rule asked for."""

    #: Says what it is about and when; the same thing has the same key.
    key = models.CharField(max_length=200, unique=True)
    kind = models.CharField(max_length=20, choices=choices_of(EventKind))
    severity = models.CharField(max_length=8, choices=choices_of(Severity))
    #: False for a failure that the last run had as well.
    is_change = models.BooleanField(default=True)
    run = models.ForeignKey(JobRun, on_delete=models.SET_NULL, null=True, related_name="+")
    device = models.ForeignKey(Device, on_delete=models.SET_NULL, null=True, related_name="+")
    #: Name of the device, the job or the Git remote.
    subject = models.CharField(max_length=255)
    #: One redacted line.
    text = models.CharField(max_length=600, blank=True)
    happened_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["id"]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.subject}: {self.kind}"


class NotificationMessage(models.Model):
    """One message of one rule to one target."""

    #: None for a test message, and for one whose rule was deleted.
    rule = models.ForeignKey(
        NotificationRule, on_delete=models.SET_NULL, null=True, related_name="messages"
    )
    target = models.ForeignKey(
        NotificationTarget, on_delete=models.CASCADE, related_name="messages"
    )
    #: What it tells of: ``run:7`` for a digest, else the key of its first event.
    key = models.CharField(max_length=200)
    #: By which a receiver knows a message again that comes twice.
    delivery_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    run = models.ForeignKey(JobRun, on_delete=models.SET_NULL, null=True, related_name="+")
    event_ids = ArrayField(models.BigIntegerField(), default=list)
    with_diff = models.BooleanField(default=False)
    subject = models.CharField(max_length=255)
    state = models.CharField(
        max_length=7, choices=choices_of(MessageState), default=MessageState.PENDING.value
    )
    attempts = models.PositiveSmallIntegerField(default=0)
    #: Before when it is not sent: the end of the quiet hours, or of a pause after a failure.
    due_at = models.DateTimeField()
    created_at = models.DateTimeField(db_default=Now())
    sent_at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        permissions = [("replay_message", "Can send messages again")]
        indexes = [
            models.Index(
                fields=["target", "due_at"], name="message_pending", condition=Q(state="PENDING")
            )
        ]
        constraints = [
            models.UniqueConstraint(fields=["rule", "target", "key"], name="message_once"),
            models.CheckConstraint(
                condition=Q(state="SENT", sent_at__isnull=False) | ~Q(state="SENT"),
                name="message_sent_has_time",
            ),
        ]

    def __str__(self) -> str:
        return self.subject


class NotificationAttempt(models.Model):
    """One attempt to deliver a message."""

    message = models.ForeignKey(
        NotificationMessage, on_delete=models.CASCADE, related_name="deliveries"
    )
    at = models.DateTimeField(db_default=Now())
    is_delivered = models.BooleanField()
    #: Status of HTTP that a webhook answered with; None without an answer, and for Apprise.
    status_code = models.PositiveSmallIntegerField(null=True)
    seconds = models.FloatField()
    error = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["id"]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"attempt at {self.at:%Y-%m-%d %H:%M}"
