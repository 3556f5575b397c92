"""How old the backups of the devices are, in the admin: to look at."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.decorators import display

from backups.models import DeviceFreshness
from backups.selectors.freshness import Freshness, with_freshness
from credentials.admin import ReadOnlyAdmin
from inventory.scoped import ScopedAdmin
from inventory.visibility import of_visible_devices

_LABELS = {
    Freshness.FRESH: "Fresh",
    Freshness.STALE: "Stale",
    Freshness.NEVER: "Never backed up",
    Freshness.NO_OBJECTIVE: "No objective",
}
_COLOURS = {
    _LABELS[Freshness.FRESH]: "success",
    _LABELS[Freshness.STALE]: "danger",
    _LABELS[Freshness.NEVER]: "warning",
    _LABELS[Freshness.NO_OBJECTIVE]: "info",
}


class FreshnessFilter(admin.SimpleListFilter):
    """Where devices stand."""

    title = "freshness"
    parameter_name = "freshness"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state.value, label) for state, label in _LABELS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(freshness=self.value()) if self.value() else queryset


@admin.register(DeviceFreshness)
class DeviceFreshnessAdmin(ScopedAdmin, ReadOnlyAdmin):
    """The active devices, the most overdue first."""

    device_path = "pk"
    list_display = ["hostname", "state", "last_backup", "objective", "due", "zone", "platform"]
    list_filter = [FreshnessFilter, "tags", "zone", "platform"]
    list_select_related = ["zone"]
    search_fields = ["hostname"]
    fields = ["hostname", "state", "last_backup", "objective", "due", "zone", "platform"]
    readonly_fields = ["state", "last_backup", "objective", "due"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[DeviceFreshness]:
        # Not the inherited one, which would order by what is added only here.
        active = DeviceFreshness.objects.filter(is_active=True)
        visible = of_visible_devices(queryset=active, user=request.user, path=self.device_path)
        return with_freshness(devices=visible)

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        return ("due_at", "pk")

    @display(description="State", label=_COLOURS)
    def state(self, device: Any) -> str:
        return _LABELS[Freshness(device.freshness)]

    @admin.display(description="Last backup", ordering="last_backup_at")
    def last_backup(self, device: Any) -> Any:
        return device.last_backup_at

    @admin.display(description="Objective (hours)", ordering="objective_hours")
    def objective(self, device: Any) -> Any:
        return device.objective_hours

    @admin.display(description="Due", ordering="due_at")
    def due(self, device: Any) -> Any:
        return device.due_at
