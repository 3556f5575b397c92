"""Both logs of runs as one list."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse

from common.pages import PAGE_SIZES, Page, page_of
from jobs.choices import LogLevel
from jobs.models.columns import choices_of
from jobs.selectors.logs import LogLines, LogQuery, LogType, logs_permitted

_ANY = [("", "All")]
_PAGE_SIZE = 100


def _moment(label: str) -> forms.DateTimeField:
    return forms.DateTimeField(
        required=False, label=label, widget=forms.DateTimeInput(attrs={"type": "datetime-local"})
    )


def _number(label: str) -> forms.IntegerField:
    return forms.IntegerField(required=False, min_value=1, max_value=2**63 - 1, label=label)


class LogForm(forms.Form):
    """What the lines are narrowed by; the names are those of the API."""

    search = forms.CharField(required=False, max_length=200, label="Message or hostname")
    log_type = forms.ChoiceField(
        required=False, choices=[*_ANY, *choices_of(LogType)], label="Which log"
    )
    level = forms.ChoiceField(required=False, choices=[*_ANY, *choices_of(LogLevel)])
    run_id = _number("Run")
    job_id = _number("Job")
    device_id = _number("Device number")
    since = _moment("Since")
    until = _moment("Before")

    def query(self) -> LogQuery:
        """What a valid form asks for."""
        given: dict[str, Any] = {name: value or None for name, value in self.cleaned_data.items()}
        for name, enum in (("log_type", LogType), ("level", LogLevel)):
            if given[name]:
                given[name] = enum(given[name])
        return LogQuery(**given)


class LogsPage(Page):
    """What happened in runs and in their sessions, the newest first."""

    title = "Logs"
    template_name = "jobs/logs.html"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """As for every page; one of the two rights is enough, and says which lines are shown."""
        if request.user.is_authenticated and not logs_permitted(user=request.user):
            raise PermissionDenied("You may not read logs; ask for the viewer role.")
        return super().dispatch(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        form = LogForm(self.request.GET)
        lines: Any = []
        if form.is_valid():
            user = self.request.user
            lines = LogLines(query=form.query(), types=logs_permitted(user=user), user=user)
        asked = self.request.GET.urlencode()
        return super().get_context_data(
            filter_form=form,
            is_filtered=any(form.data.get(name) for name in form.fields),
            page_obj=page_of(self.request, lines, size=_PAGE_SIZE),
            page_sizes=PAGE_SIZES,
            json_url=f"{reverse('log-list')}?{asked}",
            **kwargs,
        )
