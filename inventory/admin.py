"""Devices and zones in the admin."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.decorators import action
from unfold.widgets import UnfoldAdminSelectWidget

from inventory.models import Device, Zone
from inventory.platforms import platform_names


class DeviceForm(forms.ModelForm[Device]):
    """Offers the platforms that have a definition."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = [(name, name) for name in platform_names()]
        self.fields["platform"].widget = UnfoldAdminSelectWidget(choices=[("", "---"), *names])

    class Meta:
        model = Device
        fields = [
            "hostname",
            "ip_address",
            "port",
            "platform",
            "zone",
            "tags",
            "credential",
            "description",
            "is_active",
        ]


@admin.register(Device)
class DeviceAdmin(ModelAdmin[Device]):
    form = DeviceForm
    list_display = ["hostname", "ip_address", "port", "platform", "zone", "tag_names", "is_active"]
    list_filter = ["platform", "zone", "tags", "is_active"]
    list_select_related = ["zone"]
    search_fields = ["hostname", "ip_address", "description"]
    autocomplete_fields = ["zone", "tags", "credential"]
    readonly_fields = ["host_key", "created_at", "updated_at"]
    actions = ["forget_host_key"]
    fieldsets = [
        (None, {"fields": ["hostname", "ip_address", "port", "platform", "zone", "is_active"]}),
        ("Reach", {"fields": ["tags", "credential", "host_key"]}),
        ("Notes", {"fields": ["description", "created_at", "updated_at"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Device]:
        return super().get_queryset(request).prefetch_related("tags")

    @admin.display(description="Tags")
    def tag_names(self, device: Device) -> str:
        return ", ".join(tag.name for tag in device.tags.all())

    @action(description="Forget the host key", permissions=["change"])
    def forget_host_key(self, request: HttpRequest, queryset: QuerySet[Device]) -> None:
        """Take whatever key the device shows next; for a device that was replaced."""
        count = queryset.update(host_key="")
        self.message_user(
            request, f"The host keys of {count} devices are forgotten; the next ones are kept."
        )


@admin.register(Zone)
class ZoneAdmin(ModelAdmin[Zone]):
    list_display = ["name", "description"]
    search_fields = ["name"]
