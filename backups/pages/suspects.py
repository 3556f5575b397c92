"""Outputs that were not trusted: listed, looked at, accepted or dismissed."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import django_filters
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404

from backups.engine.diff.lines import align, lines_of, unified
from backups.engine.errors import DeviceError
from backups.models import SnapshotState, Suspect, SuspectState
from backups.pages.configuration import numbered_part
from backups.pages.diff_html import patch_html
from backups.selectors.snapshots import SnapshotNotFound, snapshot_newest, snapshot_text
from backups.services.suspects import (
    SuspectNotAccepted,
    suspect_accept,
    suspect_dismiss,
    suspect_text,
)
from common.pages import ListPage, Page, PageAction
from credentials.cipher import CipherError
from inventory.visibility import of_visible_devices

#: Lines of the difference to the newest trusted revision that a page shows.
_LINES_SHOWN = 500


def _visible(request: HttpRequest) -> QuerySet[Suspect]:
    suspects = Suspect.objects.select_related("device", "snapshot")
    return of_visible_devices(queryset=suspects, user=request.user)


class SuspectFilter(django_filters.FilterSet):
    """What the list is narrowed by: those that wait, unless the address says something else."""

    state = django_filters.ChoiceFilter(choices=SuspectState.choices, empty_label="All")
    hostname = django_filters.CharFilter(
        "device__hostname", lookup_expr="icontains", label="Hostname"
    )

    class Meta:
        model = Suspect
        fields: list[str] = []

    def __init__(self, data: Any = None, **options: Any) -> None:
        if data is not None and "state" not in data:
            data = data.copy()
            data["state"] = SuspectState.OPEN.value
        super().__init__(data, **options)


class SuspectsPage(ListPage):
    """Outputs that were collected and not trusted, the newest first."""

    title = "Suspects"
    template_name = "backups/suspects.html"
    permissions = ("backups.view_suspect",)
    filterset_class = SuspectFilter
    orderings = {"collected": "collected_at", "device": "device__hostname"}
    default_ordering = "-collected"

    def get_queryset(self) -> QuerySet[Suspect]:
        return _visible(self.request)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        is_plain = not any(self.request.GET.get(name) for name in ("state", "hostname"))
        return context | {"suspects": list(context["page_obj"]), "is_plain": is_plain}


class SuspectPage(Page):
    """One output: why it is not trusted, its text, and how it differs from what is."""

    title = "Suspect output"
    template_name = "backups/suspect.html"
    permissions = ("backups.view_suspect",)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        suspect = get_object_or_404(_visible(self.request), pk=self.kwargs["pk"])
        context = super().get_context_data(suspect=suspect, device=suspect.device, **kwargs)
        context["is_open"] = suspect.state == SuspectState.OPEN
        try:
            text = suspect_text(suspect=suspect).text
        except (CipherError, DeviceError, SuspectNotAccepted) as error:
            return context | {"trouble": str(error)}
        return (
            context
            | numbered_part(text, suspect.device.platform, self.request.GET.get("line", ""))
            | _difference(suspect, text)
        )


def _difference(suspect: Suspect, text: str) -> dict[str, Any]:
    """What differs from the newest trusted revision, where that can be read."""
    newest = snapshot_newest(device=suspect.device)
    if newest is None or newest.state == SnapshotState.LOST:
        return {"newest": None}
    try:
        old, new = lines_of(snapshot_text(snapshot=newest)), lines_of(text)
    except (DeviceError, SnapshotNotFound) as error:
        return {"newest": None, "newest_trouble": str(error)}
    lines = unified(old, new, align(old, new)).split("\n")[:-1]
    return {
        "newest": newest,
        "diff": patch_html(lines[:_LINES_SHOWN]),
        "hidden": max(0, len(lines) - _LINES_SHOWN),
    }


class _Decision(PageAction):
    """What is decided about one output."""

    permissions = ("backups.view_suspect", "backups.accept_suspect")
    #: What happened, in one word.
    done: ClassVar[str]

    @abstractmethod
    def decide(self, suspect: Suspect, by: str) -> None:
        """Do it. Raises SuspectNotAccepted, CipherError, DeviceError."""

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Decide in the name of the user, and say what came of it."""
        suspect = get_object_or_404(_visible(request), pk=pk)
        try:
            self.decide(suspect, request.user.get_username())
        except (SuspectNotAccepted, CipherError, DeviceError) as error:
            messages.error(request, f"{suspect.device.hostname}: {error}.")
            return self.back("backups:suspect", pk)
        messages.success(request, f"{suspect.device.hostname}: {self.done}.")
        return self.back("backups:suspects")


class AcceptSuspect(_Decision):
    """Stores the output as if it had been trusted."""

    done = "the output is accepted"

    def decide(self, suspect: Suspect, by: str) -> None:
        suspect_accept(suspect=suspect, accepted_by=by)


class DismissSuspect(_Decision):
    """Closes the output without storing it."""

    done = "the output is dismissed"

    def decide(self, suspect: Suspect, by: str) -> None:
        suspect_dismiss(suspect=suspect, dismissed_by=by)
