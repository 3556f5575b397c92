"""The revisions of a device."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import django_filters
from django.db.models import QuerySet

from backups.models import Snapshot
from backups.pages.forms import DATE
from backups.selectors.snapshots import snapshots_of
from common.pages import ListPage
from inventory.models import Device
from inventory.scoped import visible_device


class HistoryFilter(django_filters.FilterSet):
    """What the list of revisions is narrowed by; days are those of the installation's zone."""

    since = django_filters.DateFilter(
        "collected_at", lookup_expr="date__gte", label="From", widget=DATE
    )
    until = django_filters.DateFilter(
        "collected_at", lookup_expr="date__lte", label="To", widget=DATE
    )
    author = django_filters.CharFilter("changed_by", lookup_expr="icontains", label="Author")
    run = django_filters.NumberFilter("run_id", label="Run", min_value=1, max_value=2**63 - 1)

    class Meta:
        model = Snapshot
        fields: list[str] = []


class HistoryPage(ListPage):
    """Every revision of one device, the newest first; two of them can be compared."""

    title = "History"
    template_name = "backups/history.html"
    permissions = ("backups.view_snapshot",)
    filterset_class = HistoryFilter

    @cached_property
    def device(self) -> Device:
        """The device of the address."""
        return visible_device(self.request, self.kwargs["pk"])

    def get_title(self) -> str:
        return f"{self.device.hostname}: {self.title}"

    def get_queryset(self) -> QuerySet[Snapshot]:
        snapshots = snapshots_of(device=self.device).defer("pending_text")
        return snapshots.select_related("device", "acknowledgement")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(device=self.device, tab="history", **kwargs)
        return context | {"snapshots": list(context["page_obj"])}
