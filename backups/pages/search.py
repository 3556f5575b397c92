"""Searching the newest configurations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.conf import settings
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse

from backups.engine.search import (
    LONGEST_PATTERN,
    MOST_CONTEXT,
    MOST_LINES,
    FoundLine,
    LinePattern,
    PatternError,
    compile_pattern,
)
from backups.models import BY_NUMBER
from backups.pages.device import Trouble, plain
from backups.pages.forms import DeviceFilterForm
from backups.pages.lines import marked_html, text_html
from backups.selectors import search as searching
from backups.selectors.search import FoundDevice, Search, SearchTimedOut, search_note
from common.csv_output import csv_lines
from common.pages import FormPage, PermissionRequiredView
from common.texts import parsed_id

_DEVICES_SHOWN = 25
#: Lines of each device, unless devices are narrowed by their name.
_LINES_SHOWN = 20
_MOST_PAGES = 100_000
_COLUMNS = ("hostname", "line", "text", "collected_at")


class SearchForm(DeviceFilterForm):
    """What to search for, and where."""

    q = forms.CharField(
        required=False, strip=False, max_length=LONGEST_PATTERN, label="Regular expression"
    )
    fixed = forms.BooleanField(required=False, label="Plain text")
    ignore_case = forms.BooleanField(required=False, label="Ignore case")
    missing = forms.BooleanField(required=False, label="Does not contain")
    context = forms.IntegerField(
        required=False, min_value=0, max_value=MOST_CONTEXT, label="Lines around"
    )

    def clean_q(self) -> str:
        """The pattern, as the search takes it, or why it cannot be searched for."""
        pattern = str(self.cleaned_data["q"])
        if pattern:
            try:
                compile_pattern(pattern, literal=bool(self.data.get("fixed")))
            except PatternError as error:
                raise forms.ValidationError(str(error)) from error
        return pattern

    def search(self, most_lines: int | None) -> Search:
        """What was asked for; after ``is_valid``."""
        given = self.cleaned_data
        return Search(
            pattern=given["q"],
            ignore_case=given["ignore_case"],
            literal=given["fixed"],
            missing=given["missing"],
            context=given["context"] or 0,
            most_lines=most_lines,
            devices=self.device_filter(),
        )


class SearchPage(FormPage):
    """The lines that match, device by device."""

    title = "Search"
    template_name = "backups/search.html"
    permissions = ("backups.view_snapshot",)
    form_class = SearchForm

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        if not self.form.is_valid() or not self.form.cleaned_data["q"]:
            return context
        given = self.form.cleaned_data
        search = self.form.search(MOST_LINES if given["hostname"] else _LINES_SHOWN)
        found = searching.config_search_page(
            search=search,
            page=self._page(),
            size=_DEVICES_SHOWN,
            after=self._after(),
            seconds=settings.NETRAVEN.search_seconds,
            scope=self.form.scope,
        )
        pattern = compile_pattern(
            search.pattern, ignore_case=search.ignore_case, literal=search.literal
        )
        return context | {
            "found": found,
            "missing": search.missing,
            "devices": [_shown(device, pattern) for device in found.devices],
            "after": found.devices[-1].hostname if found.devices else "",
        }

    def _page(self) -> int:
        return min(parsed_id(self.request.GET.get("page", "")) or 1, _MOST_PAGES)

    def _after(self) -> str:
        """The last hostname of the page before; empty on the first page, and for what is none."""
        asked = self.request.GET.get("after", "")[:255]
        return asked if self._page() > 1 and "\x00" not in asked else ""


class SearchExport(PermissionRequiredView):
    """All that is found as CSV."""

    permissions = ("backups.view_snapshot",)

    def get(self, request: HttpRequest) -> HttpResponseBase:
        """A line per found line; without lines, of devices that do not contain any."""
        form = SearchForm(data=request.GET, user=request.user)
        if not form.is_valid() or not form.cleaned_data["q"]:
            return _refused(form)
        rows = _rows(form.search(None), form.scope)
        answer = StreamingHttpResponse(
            csv_lines(_COLUMNS, rows), content_type="text/csv; charset=utf-8"
        )
        answer["Content-Disposition"] = 'attachment; filename="search.csv"'
        answer["X-Content-Type-Options"] = "nosniff"
        return answer


def _refused(form: SearchForm) -> HttpResponse:
    said = [f"{name}: {' '.join(map(str, texts))}" for name, texts in form.errors.items()]
    return plain(Trouble("; ".join(said) or "q: say what to search for", 400))


def _rows(search: Search, scope: Any) -> Iterator[tuple[object, ...]]:
    """The rows of the export; what it lacks stands in the last one."""
    seconds = settings.NETRAVEN.search_seconds
    hits = searching.config_search(search=search, scope=scope, seconds=seconds)
    with closing(hits):  # type: ignore[type-var]  # a generator
        try:
            for device in hits:
                collected_at = device.collected_at.isoformat(timespec="seconds")
                if search.missing:
                    yield device.hostname, None, None, collected_at
                for line in device.matches:
                    yield device.hostname, line.line, line.text, collected_at
            note = search_note(search=search, scope=scope)
        except SearchTimedOut as error:
            note = str(error)
    if note:
        yield "", None, f"Not complete: {note}", None


def _shown(device: FoundDevice, pattern: LinePattern) -> dict[str, Any]:
    address = reverse("backups:config", args=[device.device_id])
    return {
        "id": device.device_id,
        "hostname": device.hostname,
        "address": f"{address}?{urlencode({'revision': f'{BY_NUMBER}{device.snapshot_id}'})}",
        "collected_at": device.collected_at,
        "matches": [_match(line, pattern) for line in device.matches],
        "more": device.more,
    }


def _match(line: FoundLine, pattern: LinePattern) -> dict[str, Any]:
    first = line.line - len(line.before)
    return {
        "line": line.line,
        "html": marked_html(line.text, pattern.marks(line.text)),
        "before": [(number, text_html(text)) for number, text in enumerate(line.before, first)],
        "after": [
            (number, text_html(text)) for number, text in enumerate(line.after, line.line + 1)
        ],
    }
