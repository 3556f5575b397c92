"""Which devices were backed up as lately as they have to be."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import QuerySet

from backups.models import DeviceFreshness
from backups.selectors.freshness import Freshness, freshness_report, with_freshness
from credentials.pages import ListPage
from credentials.visibility import tags_visible_to
from inventory.visibility import of_visible_devices, scope_of
from jobs.models.columns import choices_of
from jobs.pages.dashboard import freshness_shares
from jobs.pages.filters import tag_filter, zone_filter


class FreshnessFilter(django_filters.FilterSet):
    """What the list is narrowed by."""

    q = django_filters.CharFilter("hostname", "icontains", label="Hostname")
    freshness = django_filters.ChoiceFilter(
        choices=choices_of(Freshness), empty_label="All", label="State"
    )
    overdue = django_filters.ChoiceFilter(
        choices=[("yes", "Overdue"), ("no", "In time")],
        empty_label="All",
        method="by_overdue",
        label="Due",
    )
    tag = tag_filter()
    zone = zone_filter()

    class Meta:
        model = DeviceFreshness
        fields: list[str] = []

    def by_overdue(self, devices: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        """Those that should have been backed up by this time, or the others."""
        return devices.filter(is_overdue=value == "yes")


class FreshnessPage(ListPage):
    """The active devices by the age of their last backup, the most overdue first."""

    title = "Freshness"
    template_name = "jobs/freshness.html"
    permissions = ("inventory.view_device", "backups.view_devicefreshness")
    filterset_class = FreshnessFilter
    orderings = {"hostname": "hostname", "backup": "last_backup_at", "due": "due_at"}
    default_ordering = "due"

    def get_queryset(self) -> QuerySet[DeviceFreshness]:
        active = DeviceFreshness.objects.filter(is_active=True)
        visible = of_visible_devices(queryset=active, user=self.request.user, path="pk")
        return with_freshness(devices=visible).select_related("zone").prefetch_related("tags")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        user = self.request.user
        report = freshness_report(scope=scope_of(user=user), tags=tags_visible_to(user=user))
        return super().get_context_data(
            report=report, shares=freshness_shares(report.counts), **kwargs
        )
