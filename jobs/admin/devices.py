"""What can be done to devices in the admin beside editing them, for which workers are needed."""

from __future__ import annotations

from typing import cast

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from unfold.decorators import action

from common.texts import sentence
from inventory.admin import DeviceAdmin
from inventory.models import Device
from jobs.launch import request_backup, request_detection
from jobs.services.run_creation import NothingToBackUp
from jobs.zone_tests import TooManyTests, connections_test_while_waiting

admin.site.unregister(Device)


@admin.register(Device)
class RunDeviceAdmin(DeviceAdmin):
    """The page of devices with what only this app can do to them."""

    actions = ["back_up_now", "test_connection", *DeviceAdmin.actions, "detect_platform"]

    def has_run_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("jobs.run_job")

    @action(description="Back up now", permissions=["run"])
    def back_up_now(self, request: HttpRequest, queryset: QuerySet[Device]) -> None:
        """As the button of the page of devices does."""
        try:
            run = request_backup(devices=queryset, requested_by=cast("User", request.user))
        except NothingToBackUp as error:
            self.message_user(request, sentence(error), messages.WARNING)
            return
        self.message_user(
            request,
            format_html(
                '<a href="{}">Run {}</a> backs up {} devices.',
                reverse("jobs:run", args=[run.pk]),
                run.pk,
                run.total_count,
            ),
        )

    @action(description="Test connection", permissions=["run"])
    def test_connection(
        self, request: HttpRequest, queryset: QuerySet[Device]
    ) -> HttpResponse | None:
        """Log in and out again, and show how far that got; nothing is stored."""
        try:
            tests = connections_test_while_waiting(devices=queryset)
        except TooManyTests as error:
            self.message_user(request, str(error), messages.WARNING)
            return None
        context = self.admin_site.each_context(request) | {
            "title": "Connection test",
            "tests": tests,
            "back": request.get_full_path(),
        }
        return TemplateResponse(request, "jobs/connection_tests.html", context)

    @action(description="Detect the platform", permissions=["change"])
    def detect_platform(self, request: HttpRequest, queryset: QuerySet[Device]) -> None:
        """Ask for it; what is found waits among the platform detections."""
        devices = list(queryset)
        for device in devices:
            request_detection(device=device, requested_by=cast("User", request.user))
        text = 'Workers ask {} devices what they are. <a href="{}">See what they find</a>'
        found = reverse("admin:jobs_platformdetection_changelist")
        self.message_user(request, format_html(text, len(devices), found))
