"""The monitor of one run, and what can be done about it."""

from __future__ import annotations

from typing import Any, cast

import django_filters
from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect

from backups.engine.errors import ErrorCategory
from common.pages import ListPage, Page, PageAction
from common.texts import sentence
from inventory.visibility import scope_of
from jobs.choices import OPEN_RUN_STATUSES, Trigger
from jobs.launch import RETRY_REFUSALS, RunHasEnded, request_cancel, request_retry
from jobs.models import DeviceResult, JobRun
from jobs.models.columns import choices_of
from jobs.policy import GroupBy
from jobs.selectors.failures import GroupNotFound, failure_group, failure_groups, group_was_skipped
from jobs.selectors.forecast import predicted_finish
from jobs.selectors.monitor import (
    STATUSES,
    StatusGroup,
    logs_of_result,
    progress_of,
    results_by_group,
)
from jobs.selectors.visibility import as_seen, results_in, runs_visible_to, sees_whole_run


def visible_run(request: HttpRequest, pk: int) -> JobRun:
    """The run of the address with the counts that the user sees, or the answer 404."""
    runs = runs_visible_to(user=request.user).select_related("requested_by", "job")
    return as_seen(get_object_or_404(runs, pk=pk))


class ResultFilter(django_filters.FilterSet):
    """What the devices of a run are narrowed by."""

    q = django_filters.CharFilter("hostname", "icontains", label="Hostname")
    show = django_filters.ChoiceFilter(
        choices=choices_of(StatusGroup), empty_label="All", method="by_group", label="Show"
    )
    cause = django_filters.ChoiceFilter(
        "error_category", choices=choices_of(ErrorCategory), empty_label="All", label="Error"
    )
    changed = django_filters.ChoiceFilter(
        choices=[("yes", "Changed"), ("no", "Unchanged")],
        empty_label="All",
        method="by_change",
        label="Configuration",
    )

    class Meta:
        model = DeviceResult
        fields: list[str] = []

    def by_group(
        self, results: QuerySet[DeviceResult], name: str, value: str
    ) -> QuerySet[DeviceResult]:
        """Those of one group of statuses."""
        return results.filter(status__in=STATUSES[StatusGroup(value)])

    def by_change(
        self, results: QuerySet[DeviceResult], name: str, value: str
    ) -> QuerySet[DeviceResult]:
        """Those whose configuration was another one, or the same."""
        return results.filter(config_changed=value == "yes")


class RunPage(ListPage):
    """Live: how far the run is, and its devices, the failures first."""

    template_name = "jobs/run.html"
    permissions = ("jobs.view_jobrun", "jobs.view_deviceresult")
    parts = {"nr-live": "jobs/parts/run_live.html", "nr-forecast": "jobs/parts/run_forecast.html"}
    filterset_class = ResultFilter
    orderings = {
        "hostname": "hostname",
        "attempt": "attempts",
        "duration": "duration_seconds",
        "ended": "finished_at",
    }
    run: JobRun

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        self.run = visible_run(request, kwargs["pk"])
        answer = super().get(request, *args, **kwargs)
        if self._part() == self.parts["nr-live"] and not self._is_open():
            answer.headers["HX-Trigger"] = "run-ended"
        return answer

    def get_title(self) -> str:
        return f"Run {self.run.pk}: {self.run.job_name}"

    def get_queryset(self) -> QuerySet[DeviceResult]:
        return results_by_group(run=self.run, scope=scope_of(user=self.request.user))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        if self._part() == self.parts["nr-forecast"]:
            return {"run": self.run, "predicted": predicted_finish(run=self.run)}
        progress = progress_of(run=self.run, scope=scope_of(user=self.request.user))
        return super().get_context_data(
            run=self.run,
            progress=progress,
            is_open=self._is_open(),
            may_run=self.request.user.has_perm("jobs.run_job"),
            here=self.request.get_full_path(),
            **kwargs,
        )

    def _is_open(self) -> bool:
        return self.run.status in OPEN_RUN_STATUSES


class RunFailuresPage(Page):
    """The failures of the run in groups, the largest first."""

    template_name = "jobs/run_failures.html"
    permissions = ("jobs.view_jobrun", "jobs.view_deviceresult")
    parts = {"nr-failures": "jobs/parts/run_failures.html"}
    run: JobRun

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        self.run = visible_run(request, kwargs["pk"])
        return super().get(request, *args, **kwargs)

    def get_title(self) -> str:
        return f"Failures of run {self.run.pk}"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        asked = self.request.GET.get("by", "")
        by = GroupBy(asked) if asked in set(GroupBy) else GroupBy.CAUSE
        scope = scope_of(user=self.request.user)
        # Without a failure there is nothing to group, and all devices would be read for it.
        has_failures = progress_of(run=self.run, scope=scope).failures > 0
        return super().get_context_data(
            run=self.run,
            by=by,
            choices=choices_of(GroupBy),
            groups=failure_groups(run=self.run, by=by, scope=scope) if has_failures else [],
            may_retry=self.request.user.has_perm("jobs.run_job")
            and self.run.status not in OPEN_RUN_STATUSES,
            **kwargs,
        )


class RunDevicePage(Page):
    """One device of the run with its log."""

    template_name = "jobs/run_device.html"
    permissions = (
        "jobs.view_jobrun",
        "jobs.view_deviceresult",
        "jobs.view_joblog",
        "jobs.view_connectionlog",
    )
    parts = {"nr-panel": "jobs/parts/run_device.html"}
    result: DeviceResult

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        run = get_object_or_404(runs_visible_to(user=request.user), pk=kwargs["pk"])
        results = results_in(run=run, scope=scope_of(user=request.user))
        wanted = results.select_related("run", "snapshot", "credential")
        self.result = get_object_or_404(wanted, pk=kwargs["result_pk"])
        return super().get(request, *args, **kwargs)

    def get_title(self) -> str:
        return str(self.result)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        sessions, job = logs_of_result(result=self.result)
        return super().get_context_data(
            result=self.result,
            sessions=sessions,
            job_lines=job,
            is_open=self.result.finished_at is None,
            is_part=self._part() is not None,
            **kwargs,
        )


class CancelRun(PageAction):
    """Stops the run; its sessions end within seconds."""

    permissions = ("jobs.view_jobrun", "jobs.run_job")

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Lead back to the monitor."""
        run = visible_run(request, pk)
        if not sees_whole_run(run=run, user=request.user):
            raise PermissionDenied(
                "The run reads devices that you do not see; ask somebody who sees all of them."
            )
        try:
            request_cancel(run=run, cancelled_by=request.user.get_username())
        except RunHasEnded as error:
            messages.warning(request, sentence(error))
        else:
            messages.success(request, f"Run {pk} is cancelled.")
        return self.back("jobs:run", pk)


class RetryRun(PageAction):
    """Tries again what failed in the run, or one group of it."""

    permissions = ("jobs.view_jobrun", "jobs.run_job")

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Lead to the monitor of the other run."""
        run = visible_run(request, pk)
        try:
            retry = request_retry(
                run=run,
                trigger=Trigger.RETRY,
                requested_by=cast("User", request.user),
                only=self._group(run),
            )
        except (*RETRY_REFUSALS, GroupNotFound) as error:
            messages.warning(request, sentence(error))
            return self.back("jobs:run", pk)
        messages.success(request, f"This run tries {retry.total_count} devices of run {pk} again.")
        return redirect("jobs:run", retry.pk)

    def _group(self, run: JobRun) -> tuple[int, ...] | None:
        """The results of the group that the form names; None where it names none."""
        by = self.request.POST.get("by")
        if by not in set(GroupBy):
            return None
        group = failure_group(
            run=run,
            by=GroupBy(by),
            key=self.request.POST.get("key", ""),
            scope=scope_of(user=self.request.user),
        )
        if not group.retry_ids:
            raise GroupNotFound(group_was_skipped(group))
        return group.retry_ids
