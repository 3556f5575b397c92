"""Jobs: the list, the form with its preview, and starting and deleting one."""

from __future__ import annotations

from typing import Any, cast

import django_filters
from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect

from common.pages import ListPage, Page, PageAction
from common.texts import parsed_id
from credentials.models import Tag
from inventory.visibility import scope_of
from jobs.choices import ScheduleType, Trigger
from jobs.launch import REFUSALS, request_run
from jobs.models import Job
from jobs.models.columns import choices_of
from jobs.pages.filters import tag_filter
from jobs.pages.job_form import FIELD_OF_KIND, JobForm, JobSketch
from jobs.schedule_rules import ScheduleError
from jobs.schedules import job_delete
from jobs.selectors.schedules import (
    blackout_notice,
    next_starts_of,
    planned_starts,
    schedule_in_words,
)
from jobs.selectors.targets import jobs_with_last_run, targets_of
from jobs.selectors.visibility import as_seen, jobs_visible_to, may_change_job, runs_visible_to

_LAST_RUNS = 10


def visible_job(request: HttpRequest, pk: int) -> Job:
    """The job of the address, or the answer 404 for one that the user does not see."""
    return get_object_or_404(jobs_visible_to(user=request.user).prefetch_related("tags"), pk=pk)


class JobFilter(django_filters.FilterSet):
    """What the list of jobs is narrowed by."""

    q = django_filters.CharFilter("name", "icontains", label="Name")
    tag = tag_filter()
    schedule = django_filters.ChoiceFilter(
        "schedule_type", choices=choices_of(ScheduleType), empty_label="All", label="Schedule"
    )
    enabled = django_filters.ChoiceFilter(
        choices=[("yes", "Enabled"), ("no", "Disabled")],
        empty_label="All",
        method="by_enabled",
        label="Enabled",
    )

    class Meta:
        model = Job
        fields: list[str] = []

    def by_enabled(self, jobs: QuerySet[Job], name: str, value: str) -> QuerySet[Job]:
        """Those that start, or those that do not."""
        return jobs.filter(is_enabled=value == "yes")


class JobsPage(ListPage):
    """The saved jobs: when each starts next, and how its last run went."""

    title = "Jobs"
    template_name = "jobs/jobs.html"
    permissions = ("jobs.view_job",)
    filterset_class = JobFilter
    orderings = {"name": "name"}
    default_ordering = "name"

    def get_queryset(self) -> QuerySet[Job]:
        user = self.request.user
        return jobs_with_last_run(jobs=jobs_visible_to(user=user), scope=scope_of(user=user))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        context["rows"] = [
            {
                "job": job,
                "schedule": schedule_in_words(job),
                "next_start": next(iter(next_starts_of(job)), None),
            }
            for job in context["page_obj"]
        ]
        return context


class _JobFormPage(Page):
    """The form of one job."""

    template_name = "jobs/job.html"
    job: Job

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        form = kwargs.pop("form", None) or self.form()
        return super().get_context_data(
            form=form,
            job=self.job,
            field_of_kind={name: str(kind) for name, kind in FIELD_OF_KIND.items()},
            **({"may_change": True} | _preview(self.request, form) | kwargs),
        )

    def form(self) -> JobForm:
        """The form of the job, filled in by the request where it is sent."""
        data = self.request.POST if self.request.method == "POST" else None
        return JobForm(data, instance=self.job, user=self.request.user)

    def save(self) -> HttpResponse:
        """Lead to the job, or show what is wrong."""
        form = self.form()
        job = form.saved()
        if job is None:
            return self.render_to_response(self.get_context_data(form=form))
        messages.success(self.request, f"Job '{job}' is saved.")
        return redirect("jobs:job", job.pk)


class AddJobPage(_JobFormPage):
    """Makes a job."""

    title = "Add a job"
    permissions = ("jobs.view_job", "jobs.add_job")

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        self.job = Job()
        return super().get(request, *args, **kwargs)

    def post(self, request: HttpRequest) -> HttpResponse:
        """Save it."""
        self.job = Job()
        return self.save()


class JobPage(_JobFormPage):
    """One job, its last runs, and its form for those who may change it."""

    permissions = ("jobs.view_job",)

    stored_name = ""

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        self._load(kwargs["pk"])
        return super().get(request, *args, **kwargs)

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Save what was changed."""
        if not request.user.has_perm("jobs.change_job"):
            raise PermissionDenied("You may not change jobs; ask for the operator role.")
        self._load(pk)
        _refuse_others(self.job, request)
        return self.save()

    def _load(self, pk: int) -> None:
        self.job = visible_job(self.request, pk)
        self.stored_name = self.job.name

    def get_title(self) -> str:
        return f"Job {self.stored_name}"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        user = self.request.user
        runs = runs_visible_to(user=user).filter(job=self.job).order_by("-pk")[:_LAST_RUNS]
        is_theirs = may_change_job(job=self.job, user=user)
        return super().get_context_data(
            may_change=is_theirs and user.has_perm("jobs.change_job"),
            may_delete=is_theirs and user.has_perm("jobs.delete_job"),
            runs=[as_seen(run) for run in runs] if user.has_perm("jobs.view_jobrun") else [],
            **kwargs,
        )


class JobPreview(Page):
    """What the form of a job would mean, without saving it."""

    http_method_names = ["post"]
    template_name = "jobs/parts/job_preview.html"
    permissions = ("jobs.view_job",)

    def post(self, request: HttpRequest) -> HttpResponse:
        """The part of the form's page that says when it would start, and on how many devices."""
        asked = parsed_id(request.POST.get("job", ""))
        job = Job() if asked is None else visible_job(request, asked)
        form = JobSketch(request.POST, instance=job, user=request.user)
        return self.render_to_response(_preview(request, form))


def _preview(request: HttpRequest, form: JobForm) -> dict[str, Any]:
    """``sketch``, its next ``starts`` (both None where it cannot be kept) and its ``targets``."""
    job = form.sketch() if form.is_bound else form.instance
    tags = form.cleaned_data.get("tags", ()) if form.is_bound else _stored_tags(form.instance)
    try:
        starts = None if job is None else planned_starts(job)
    except ScheduleError:
        starts = None
    return {
        "starts": starts,
        "sketch": job,
        "targets": targets_of(tags=tags, scope=scope_of(user=request.user)),
    }


def _stored_tags(job: Job) -> list[Tag]:
    return [] if job.pk is None else list(job.tags.all())


def _refuse_others(job: Job, request: HttpRequest) -> None:
    if not may_change_job(job=job, user=request.user):
        raise PermissionDenied(
            "The job is for devices that you do not see; ask somebody who sees all of them."
        )


class RunJob(PageAction):
    """Starts a run of the job."""

    permissions = ("jobs.view_job", "jobs.run_job")

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Lead to the monitor of the run."""
        job = visible_job(request, pk)
        try:
            run = request_run(
                job=job, trigger=Trigger.MANUAL, requested_by=cast("User", request.user)
            )
        except REFUSALS as error:
            messages.warning(request, f"Nothing was started: {error}.")
            return self.back("jobs:jobs")
        if notice := blackout_notice(job):
            messages.info(request, f"The {notice}.")
        return redirect("jobs:run", run.pk)


class DeleteJob(PageAction):
    """Deletes the job; its runs and what they brought stay."""

    permissions = ("jobs.view_job", "jobs.delete_job")

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Lead to the list."""
        job = visible_job(request, pk)
        _refuse_others(job, request)
        job_delete(job=job)
        messages.success(request, f"Job '{job.name}' is deleted; its runs are kept.")
        return redirect("jobs:jobs")
