"""The list of runs."""

from __future__ import annotations

import django_filters
from django.db.models import F, QuerySet
from django.http import HttpRequest

from common.pages import ListPage
from jobs.choices import Trigger
from jobs.models import Job, JobRun
from jobs.models.columns import RUN_STATUSES, choices_of
from jobs.selectors.visibility import as_seen, jobs_visible_to, runs_visible_to, shown_column


def _jobs(request: HttpRequest) -> QuerySet[Job]:
    return jobs_visible_to(user=request.user)


class RunFilter(django_filters.FilterSet):
    """What the list of runs is narrowed by."""

    job = django_filters.ModelChoiceFilter(queryset=_jobs, empty_label="All")
    status = django_filters.ChoiceFilter(choices=RUN_STATUSES, empty_label="All")
    trigger = django_filters.ChoiceFilter(choices=choices_of(Trigger), empty_label="All")

    class Meta:
        model = JobRun
        fields: list[str] = []


class RunsPage(ListPage):
    """Every run of every job, the newest first."""

    title = "Runs"
    template_name = "jobs/runs.html"
    permissions = ("jobs.view_jobrun",)
    filterset_class = RunFilter
    orderings = {"started": "started_at", "job": "job_name", "devices": "devices_shown", "id": "id"}
    default_ordering = "-id"

    def get_queryset(self) -> QuerySet[JobRun]:
        user = self.request.user
        shown = F(shown_column(name="total_count", user=user))
        runs = runs_visible_to(user=user).annotate(devices_shown=shown)
        return runs.select_related("requested_by")

    def get_context_data(self, **kwargs: object) -> dict[str, object]:
        context = super().get_context_data(**kwargs)
        context["runs"] = [as_seen(run) for run in context["page_obj"]]
        return context
