"""What changed in the fleet, and taking note of it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone

from backups.engine.errors import DeviceError
from backups.models import Snapshot
from backups.pages.device import Trouble, troubles
from backups.pages.diff_html import patch_html
from backups.pages.forms import DATE, tag_field
from backups.selectors.changes import (
    RECENT,
    ChangeQuery,
    FleetChange,
    change_groups,
    change_like,
    fleet_changes,
)
from backups.selectors.diffs import compare
from backups.selectors.snapshots import SnapshotNotFound, snapshot_before
from backups.services.acknowledgements import NothingToAcknowledge, change_acknowledge
from common.pages import FormPage, Page, PageAction, page_of
from common.texts import parsed_id, sentence
from credentials.visibility import User
from inventory.visibility import of_visible_devices, scope_of

#: Lines of a diff that the page of one change shows.
_LINES_SHOWN = 500
_MOST_AT_ONCE = 250
#: Of each entry two texts are read and compared.
_ENTRIES = 8
_NOTED = {"no": False, "yes": True}


class ChangesForm(forms.Form):
    """Which changes; days are those of the installation's zone."""

    since = forms.DateField(required=False, label="From", widget=DATE)
    until = forms.DateField(required=False, label="To", widget=DATE)
    hostname = forms.CharField(required=False, max_length=255, label="Device")
    author = forms.CharField(required=False, max_length=100, label="Author")
    run = forms.IntegerField(required=False, min_value=1, max_value=2**63 - 1, label="Run")
    min_devices = forms.IntegerField(
        required=False, min_value=1, max_value=1_000_000, label="At least devices"
    )
    acknowledged = forms.ChoiceField(
        required=False,
        choices=[("", "All"), ("no", "Not yet"), ("yes", "Yes")],
        label="Acknowledged",
    )

    def __init__(self, *, user: User, **options: Any) -> None:
        super().__init__(**options)
        self._user = user
        self.fields["tag"] = tag_field(user)

    def query(self) -> ChangeQuery:
        """What is asked for; the last seven days where no run and no time is named."""
        given = self.cleaned_data
        since, tag = _start(given["since"]), given["tag"]
        if not (since or given["until"] or given["run"]):
            since = timezone.now() - RECENT
        return ChangeQuery(
            since=since,
            until=_start(given["until"], days=1),
            run_id=given["run"],
            hostname=given["hostname"].strip() or None,
            tag=tag.name if tag else None,
            author=given["author"].strip() or None,
            acknowledged=_NOTED.get(given["acknowledged"]),
            min_devices=given["min_devices"] or 1,
            scope=scope_of(user=self._user),
        )


class ChangesPage(FormPage):
    """Equal changes of a run as one entry, the newest first."""

    title = "Changes"
    template_name = "backups/changes.html"
    permissions = ("backups.view_snapshot",)
    form_class = ChangesForm

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        if not self.form.is_valid():
            return context
        query = self.form.query()
        page = page_of(self.request, change_groups(query=query), size=_ENTRIES)
        return context | _changes(query, list(page)) | {"page_obj": page, "recent": RECENT.days}


class ChangePage(Page):
    """One change: its devices, what it changed, who took note of it."""

    title = "Change"
    template_name = "backups/change.html"
    permissions = ("backups.view_snapshot",)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        sample = get_object_or_404(_changing(self.request), pk=self.kwargs["pk"])
        alike = change_like(snapshot=sample, scope=scope_of(user=self.request.user))
        page = page_of(self.request, alike)
        context = super().get_context_data(
            sample=sample,
            page_obj=page,
            snapshots=list(page),
            waiting=alike.filter(acknowledgement=None).count(),
            **kwargs,
        )
        try:
            return context | {"diff": _diff_of(sample)}
        except Trouble as trouble:
            return context | {"trouble": str(trouble)}


class AcknowledgeChanges(PageAction):
    """Takes note of the changes that were ticked, each on all devices that the user sees."""

    permissions = ("backups.view_snapshot", "backups.acknowledge_change")

    def post(self, request: HttpRequest) -> HttpResponse:
        """Each of ``change``, the numbers of their revisions, with one note and ticket."""
        snapshots = _ticked(request)
        if not snapshots:
            messages.error(request, "Tick the changes that you want to acknowledge.")
        done = 0
        for snapshot in snapshots:
            try:
                done += self._acknowledge(snapshot)
            except ValidationError as error:
                messages.error(request, " ".join(error.messages))
                break
            except NothingToAcknowledge as error:
                messages.warning(request, sentence(error))
        if done:
            messages.success(request, f"Acknowledged on {done} device{'s' if done > 1 else ''}.")
        return self.back("backups:changes")

    def _acknowledge(self, snapshot: Snapshot) -> int:
        user = self.request.user
        return change_acknowledge(
            snapshot=snapshot,
            acknowledged_by=user.get_username(),
            note=self.request.POST.get("note", ""),
            ticket=self.request.POST.get("ticket", ""),
            scope=scope_of(user=user),
        ).device_count


def _ticked(request: HttpRequest) -> list[Snapshot]:
    """The revisions that the form names. Raises Http404 when the user sees one of them not."""
    texts = dict.fromkeys(request.POST.getlist("change")[:_MOST_AT_ONCE])
    numbers = [number for one in texts if (number := parsed_id(one)) is not None]
    found = list(_changing(request).filter(pk__in=numbers).order_by("pk"))
    if len(found) < len(texts):
        raise Http404
    return found


def _changing(request: HttpRequest) -> QuerySet[Snapshot]:
    """The revisions that changed something, of devices that the user may see."""
    snapshots = Snapshot.objects.exclude(change_digest="").select_related("device")
    return of_visible_devices(queryset=snapshots, user=request.user)


def _changes(query: ChangeQuery, groups: list[Any]) -> dict[str, Any]:
    """The entries of a page, without their diffs where the store cannot be read."""
    trouble = ""
    try:
        found = fleet_changes(query=query, groups=groups)
    except (SnapshotNotFound, DeviceError) as error:
        trouble = error.message if isinstance(error, DeviceError) else str(error)
        found = fleet_changes(query=query, groups=groups, with_diff=False)
    return {"changes": list(_shown(found)), "trouble": trouble}


def _shown(changes: Iterable[FleetChange]) -> Iterable[dict[str, Any]]:
    for change in changes:
        lines = change.diff.split("\n")[2:-1]  # without the names of the revisions
        yield {
            **change.group,
            "sample": change.sample,
            "snapshots": change.snapshots,
            "more": change.group["device_count"] - len(change.snapshots),
            "diff": patch_html(lines),
            "is_short": len(lines) <= 12,
            "is_cut": change.is_diff_cut,
        }


def _diff_of(sample: Snapshot) -> Any:
    """The first lines of what ``sample`` changed. Raises Trouble."""
    with troubles():
        before = snapshot_before(snapshot=sample)
        if before is None:
            raise SnapshotNotFound(
                f"{sample.device.hostname}: the revision before this one is not kept"
            )
        lines = compare(old=before, new=sample).unified().split("\n")[2:-1]
    return patch_html(lines[:_LINES_SHOWN])


def _start(day: date | None, *, days: int = 0) -> datetime | None:
    """The begin of the day so many days after ``day``; None where there is no such day."""
    if day is None:
        return None
    try:
        begin = datetime.combine(day, time.min) + timedelta(days=days)
    except OverflowError:
        return None
    return timezone.make_aware(begin)
