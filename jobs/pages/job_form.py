"""The form of a job: what it is about, and when it starts."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from credentials.models import Tag
from credentials.visibility import User, is_limited, tags_visible_to
from jobs.choices import ScheduleType
from jobs.models import Job
from jobs.schedule_rules import ScheduleError
from jobs.schedule_rules.time_zones import first_instant, time_zone_of, time_zones
from jobs.schedules import job_save_scheduled

_MINUTES = "%Y-%m-%dT%H:%M"


class JobForm(forms.ModelForm[Job]):
    """A job as a person fills it in; times are those of the job's time zone."""

    tags = forms.ModelMultipleChoiceField(
        queryset=Tag.objects.none(),
        to_field_name="name",
        required=False,
        help_text="Every active device with at least one of these tags.",
    )
    run_at = forms.DateTimeField(
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format=_MINUTES),
        help_text="In the time zone of the job.",
    )

    class Meta:
        model = Job
        fields = [
            "name",
            "description",
            "tags",
            "is_enabled",
            "schedule_type",
            "interval_seconds",
            "cron",
            "run_at",
            "time_zone",
            "catch_up",
            "blackouts",
            "start_jitter_seconds",
            "starts_per_second",
            "allow_overlap",
        ]
        widgets = {
            "time_zone": forms.TextInput(attrs={"list": "nr-time-zones", "autocomplete": "off"}),
            "blackouts": forms.Textarea(attrs={"rows": 3}),
        }

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        tags: Any = self.fields["tags"]
        tags.queryset = tags_visible_to(user=user)
        # Without a tag of theirs it would be gone from their sight.
        tags.required = is_limited(user=user)
        if self.instance.pk is not None:
            self.initial["tags"] = [tag.name for tag in self.instance.tags.all()]
        if self.instance.run_at is not None:
            self.initial["run_at"] = self._on_the_wall(self.instance.run_at)

    @property
    def time_zones(self) -> list[str]:
        """The names that the time zone may have."""
        return sorted(time_zones())

    def clean(self) -> dict[str, Any]:
        """Read the time of a job that runs once by the clocks of its time zone."""
        values: dict[str, Any] = super().clean() or self.cleaned_data
        run_at = values.get("run_at")
        if run_at is not None:
            try:
                zone = time_zone_of(values.get("time_zone", ""))
                values["run_at"] = first_instant(run_at.replace(tzinfo=None), zone)
            except (ScheduleError, OverflowError):
                values["run_at"] = None  # the field at fault is named by the job's own check
        return values

    def save(self, commit: bool = True) -> Job:
        """Save the job and its schedule. Raises ValidationError where another save came between."""
        return job_save_scheduled(job=self.instance, tags=self.cleaned_data["tags"])

    def saved(self) -> Job | None:
        """The job as it was saved, or None where the form says what is wrong."""
        if not self.is_valid():
            return None
        try:
            return self.save()
        except ValidationError as error:
            self.add_error(None, error)
            return None

    def sketch(self) -> Job | None:
        """The job as it would be, also without a name; None while its schedule cannot be kept."""
        if set(self.errors) & _SCHEDULE_FIELDS:
            return None
        if set(self.changed_data) & _SCHEDULE_FIELDS:
            self.instance.scheduled_since = None
        return self.instance

    def _on_the_wall(self, moment: datetime) -> datetime:
        try:
            return moment.astimezone(time_zone_of(self.instance.time_zone)).replace(tzinfo=None)
        except ScheduleError:
            return moment


class JobSketch(JobForm):
    """A form that is not to be saved, perhaps filled in by half."""

    def _get_validation_exclusions(self) -> set[str]:
        # What constraints of the table are about is left to who saves: each costs three queries.
        excluded = super()._get_validation_exclusions()  # type: ignore[misc]  # not in the stubs
        return {*excluded, "name", "schedule_type", "catch_up"}


_SCHEDULE_FIELDS = frozenset(
    {
        "schedule_type",
        "interval_seconds",
        "cron",
        "run_at",
        "time_zone",
        "catch_up",
        "blackouts",
        "start_jitter_seconds",
    }
)
#: Which field belongs to which kind of schedule.
FIELD_OF_KIND = {
    "interval_seconds": ScheduleType.INTERVAL,
    "cron": ScheduleType.CRON,
    "run_at": ScheduleType.ONETIME,
}
