"""Which devices were backed up as lately as they have to be."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from backups.models import DeviceFreshness
from backups.selectors.freshness import (
    Freshness,
    devices_in_state,
    freshness_report,
    with_freshness,
)
from common.pages import ListPage
from credentials.visibility import tags_visible_to
from inventory.selectors import with_names
from inventory.visibility import of_visible_devices, scope_of
from jobs.models.columns import choices_of
from jobs.pages.dashboard import freshness_shares
from jobs.pages.filters import QuickSelect, tag_filter, zone_filter


class FreshnessFilter(django_filters.FilterSet):
    """What the list is narrowed by."""

    q = django_filters.CharFilter("hostname", "icontains", label="Hostname")
    freshness = django_filters.ChoiceFilter(
        choices=choices_of(Freshness),
        empty_label="All",
        widget=QuickSelect,
        method="by_state",
        label="State",
    )
    overdue = django_filters.ChoiceFilter(
        choices=[("yes", "Overdue"), ("no", "In time")],
        empty_label="All",
        widget=QuickSelect,
        method="by_overdue",
        label="Due",
    )
    tag = tag_filter()
    zone = zone_filter()

    class Meta:
        model = DeviceFreshness
        fields: list[str] = []

    def by_state(self, devices: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        """Those whose last backup is as old as this says."""
        return devices_in_state(devices=devices, state=Freshness(value))

    def by_overdue(self, devices: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        """Those that should have been backed up by this time, or the others."""
        if value == "yes":
            return devices.filter(due_of_all__lt=Now())
        return devices.filter(Q(due_of_all__gte=Now()) | Q(due_of_all=None))


class FreshnessPage(ListPage):
    """The active devices by the age of their last backup, the most overdue first."""

    title = "Freshness"
    template_name = "jobs/freshness.html"
    permissions = ("inventory.view_device", "backups.view_devicefreshness")
    #: It looks at each device once more than the list does.
    parts = {"nr-report": "jobs/parts/freshness_report.html"}
    filterset_class = FreshnessFilter
    orderings = {"hostname": "hostname", "backup": "last_backup_at", "due": "due_of_all"}
    default_ordering = "due"

    def get_queryset(self) -> QuerySet[DeviceFreshness]:
        active = DeviceFreshness.objects.filter(is_active=True)
        visible = of_visible_devices(queryset=active, user=self.request.user, path="pk")
        of_all = not self.request.GET.get("tag")
        return with_freshness(devices=with_names(devices=visible), of_all=of_all)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        if self._part() is None:
            return super().get_context_data(**kwargs)
        user = self.request.user
        report = freshness_report(scope=scope_of(user=user), tags=tags_visible_to(user=user))
        return {"report": report, "shares": freshness_shares(report.counts)}
