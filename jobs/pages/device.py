"""One device: what is known of it, what happened to it, and what can be done about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, cast

from django.contrib import messages
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from common.pages import Page, PageAction
from common.texts import parsed_id
from inventory.breaker import breaker_reset
from inventory.models import Device
from inventory.resolution import credentials_explained
from inventory.scoped import visible_device
from inventory.selectors import jump_hosts_of
from inventory.services import HostKeyNotAccepted, host_key_accept
from inventory.visibility import devices_visible_to
from jobs.launch import request_backup
from jobs.selectors.devices import device_timeline, devices_with_state, last_results_of
from jobs.services.run_creation import NothingToBackUp
from jobs.zone_tests import connection_test_from_its_zone

_TIMELINE_SIZE = 20
#: Nobody reads further; the history of a device has pages of its own.
_TIMELINE_PAGES = 100


class _DevicePage(Page):
    """A page about the device of its address."""

    permissions: ClassVar[Sequence[str]] = ("inventory.view_device",)
    device: Device

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        self.device = self.get_device()
        return super().get(request, *args, **kwargs)

    def get_device(self) -> Device:
        """With all that the page shows of it."""
        return visible_device(self.request, self.kwargs["pk"])

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(device=self.device, **kwargs)


class DevicePage(_DevicePage):
    """Facts, last results, and the timeline of changes and failures."""

    template_name = "jobs/device.html"
    parts = {"nr-timeline": "jobs/parts/timeline.html"}

    def get_title(self) -> str:
        # The theme writes the first letter large, which a hostname is not to suffer.
        return f"Device {self.device.hostname}"

    def get_device(self) -> Device:
        found: QuerySet[Any] = devices_with_state(
            devices=devices_visible_to(user=self.request.user)
        ).select_related("zone", "jump_host")
        device: Device = get_object_or_404(found, pk=self.kwargs["pk"])
        return device

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        page = self._timeline_page()
        entries, has_more = device_timeline(device=self.device, page=page, size=_TIMELINE_SIZE)
        context = super().get_context_data(
            entries=entries,
            timeline_page=page,
            next_page=page + 1 if has_more and page < _TIMELINE_PAGES else None,
            **kwargs,
        )
        if self._part() is None:
            until = self.device.skipped_until
            context["results"] = last_results_of(device=self.device)
            context["is_left_out"] = until is not None and until > timezone.now()
        return context

    def _timeline_page(self) -> int:
        return min(parsed_id(self.request.GET.get("timeline", "")) or 1, _TIMELINE_PAGES)


class DeviceCredentialsPage(_DevicePage):
    """Which credentials fit the device, in which order and why; and the way to it."""

    template_name = "jobs/device_credentials.html"
    permissions = ("inventory.view_device", "credentials.view_credential")
    parts = {"nr-credentials": "jobs/parts/device_credentials.html"}

    def get_title(self) -> str:
        return f"Credentials of {self.device.hostname}"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        found = credentials_explained(device=self.device, shown_to=self.request.user)
        way = jump_hosts_of(device_ids=[self.device.pk])[self.device.pk]
        return super().get_context_data(candidates=found["candidates"], way=way, **kwargs)


class BackUpDevice(PageAction):
    """Backs the device up at once."""

    permissions = ("inventory.view_device", "jobs.run_job")

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Lead to the monitor of the run."""
        device = visible_device(request, pk)
        try:
            run = request_backup(
                devices=Device.objects.filter(pk=device.pk),
                requested_by=cast("User", request.user),
            )
        except NothingToBackUp:
            messages.warning(request, f"{device} is inactive; make it active to back it up.")
            return self.back("jobs:device", pk)
        messages.success(request, f"Run {run.pk} backs up {device}.")
        return redirect("jobs:run", run.pk)


class TestDevice(PageAction, Page):
    """Logs in to the device and out again; stores nothing."""

    title = "Connection test"
    template_name = "jobs/connection_tests.html"
    permissions = ("inventory.view_device", "jobs.run_job")
    parts = {"nr-test": "jobs/parts/connection_test_answer.html"}

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show how far the log-in got."""
        device = visible_device(request, pk)
        test = connection_test_from_its_zone(device=device)
        context = self.get_context_data(
            tests=[(device, test)], test=test, back=reverse("jobs:device", args=[pk])
        )
        return TemplateResponse(request, self.get_template_names(), context)


class ResetBreaker(PageAction):
    """Forgets the failures of the device, so that scheduled runs try it again."""

    permissions = ("inventory.view_device", "inventory.change_device")

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Lead back to the device."""
        device = visible_device(request, pk)
        if breaker_reset(devices=Device.objects.filter(pk=device.pk)):
            messages.success(request, f"Scheduled runs try {device} again.")
        else:
            messages.info(request, f"{device} had no failures.")
        return self.back("jobs:device", pk)


class AcceptHostKey(PageAction):
    """Accepts the host key with the fingerprint that the page has shown, and no other."""

    permissions = ("inventory.view_device", "inventory.change_device")

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Lead back to the device."""
        device = visible_device(request, pk)
        try:
            host_key_accept(
                owner=device,
                fingerprint=request.POST.get("fingerprint", ""),
                changed_by=request.user.get_username(),
            )
        except HostKeyNotAccepted as error:
            messages.error(request, f"The host key was not accepted: {error}.")
        else:
            messages.success(request, f"The new host key of {device} is accepted.")
        return self.back("jobs:device", pk)
