"""The saved definitions of what is backed up, and when."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django_celery_beat.models import PeriodicTask

from credentials.models import Tag, validate_name, validate_shown
from jobs.choices import CatchUp, ScheduleType
from jobs.models.columns import choices_of
from jobs.schedule_rules import MIN_INTERVAL_SECONDS, ScheduleError, check_schedule


class Job(models.Model):
    """A saved definition: which devices are backed up, and when.

    It selects every active device that carries at least one of its tags; without tags it selects
    none.
    """

    name = models.CharField(max_length=100, validators=[validate_name, validate_shown])
    description = models.CharField(max_length=255, blank=True)
    is_enabled = models.BooleanField(default=True, help_text="A disabled job does not start.")
    tags = models.ManyToManyField(Tag, blank=True, related_name="jobs")
    schedule_type = models.CharField(
        max_length=10, choices=choices_of(ScheduleType), default=ScheduleType.NONE.value
    )
    interval_seconds = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(MIN_INTERVAL_SECONDS)],
        help_text="From one planned time to the next, at least 60.",
    )
    cron = models.CharField(
        max_length=100,
        blank=True,
        help_text="Minute, hour, day of month, month, day of week: 0 2 * * * is 02:00 every day, "
        "*/15 8-17 * * mon-fri each quarter of an hour in office hours.",
    )
    run_at = models.DateTimeField(
        "run once at", null=True, blank=True, help_text="For a schedule that runs once."
    )
    time_zone = models.CharField(
        max_length=64, default="UTC", help_text="Of the cron expression and of the blackouts."
    )
    #: Slots up to it want nothing more: they were answered, or the schedule did not exist then, or
    #: the job was disabled.
    scheduled_since = models.DateTimeField(null=True, blank=True, editable=False)
    catch_up = models.CharField(
        "missed times",
        max_length=8,
        choices=choices_of(CatchUp),
        default=CatchUp.RUN_ONCE.value,
        help_text="What becomes of planned times that passed while nothing could start the job, or "
        "in a blackout: one run for all of them, or none.",
    )
    blackouts = models.TextField(
        blank=True,
        max_length=1000,
        help_text="Times in which the schedule starts nothing, one a line, in the job's time zone: "
        "mon-fri 08:00-18:00, sat,sun 00:00-24:00, daily 22:00-04:00.",
    )
    start_jitter_seconds = models.PositiveIntegerField(
        default=0,
        validators=[MaxValueValidator(3600)],
        help_text="Scheduled runs start up to so many seconds late, so that jobs do not collide; "
        "never later than the next planned time.",
    )
    starts_per_second = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(0.01), MaxValueValidator(1000)],
        help_text="Sessions that a run begins per second at the most; empty for no limit.",
    )
    allow_overlap = models.BooleanField(
        default=False, help_text="Start a run also while an earlier one of this job is open."
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
        indexes = [
            models.Index(
                fields=["scheduled_since"],
                name="job_scheduled",
                condition=Q(is_enabled=True, scheduled_since__isnull=False),
            )
        ]
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
            models.CheckConstraint(
                condition=Q(catch_up__in=[str(kind) for kind in CatchUp]),
                name="job_catch_up_known",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        if self.schedule_type not in set(ScheduleType) or self.catch_up not in set(CatchUp):
            return  # reported by the field's own check
        try:
            check_schedule(
                schedule_type=ScheduleType(self.schedule_type),
                interval_seconds=self.interval_seconds,
                cron=self.cron,
                run_at=self.run_at,
                time_zone=self.time_zone,
                blackouts=self.blackouts,
                catch_up=CatchUp(self.catch_up),
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
