"""The list of devices, and what is done to many of them at once."""

from __future__ import annotations

from typing import Any, cast

import django_filters
from django.contrib import messages
from django.contrib.auth.models import User
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone

from backups.selectors.freshness import Freshness, devices_in_state, with_freshness
from common.pages import ListPage, Page, PageAction
from common.texts import parsed_id, sentence
from credentials.visibility import limit_of, tags_visible_to
from inventory.models import Device
from inventory.resolution import devices_without_credential
from inventory.services import TagStays, devices_tag, devices_untag
from inventory.visibility import devices_visible_to
from jobs.choices import ResultStatus
from jobs.launch import request_backup
from jobs.models.columns import choices_of
from jobs.pages.filters import QuickSelect, platform_filter, tag_filter, zone_filter
from jobs.selectors.devices import devices_by_last_status, devices_with_state
from jobs.services.run_creation import NothingToBackUp
from jobs.zone_tests import TESTS_AT_ONCE, TooManyTests, connections_test_while_waiting

_NO_RESULT = "NONE"
_STATES = {
    "active": ("Active", Q(is_active=True)),
    "inactive": ("Inactive", Q(is_active=False)),
    "host_key": ("New host key to decide on", ~Q(offered_host_key="")),
    "unsaved": ("Running-config not saved", Q(has_unsaved_config=True)),
}
_LEFT_OUT = ("left_out", "Left out by the circuit breaker")
_NO_CREDENTIAL = ("no_credential", "Without a credential")


class DeviceFilter(django_filters.FilterSet):
    """What the list of devices is narrowed by."""

    q = django_filters.CharFilter(method="search", label="Hostname or address")
    tag = tag_filter()
    platform = platform_filter()
    zone = zone_filter()
    result = django_filters.ChoiceFilter(
        choices=[*choices_of(ResultStatus), (_NO_RESULT, "No result yet")],
        empty_label="All",
        widget=QuickSelect,
        method="by_result",
        label="Last result",
    )
    freshness = django_filters.ChoiceFilter(
        choices=choices_of(Freshness),
        empty_label="All",
        widget=QuickSelect,
        method="by_freshness",
        label="Freshness",
    )
    state = django_filters.ChoiceFilter(
        choices=[
            *((key, label) for key, (label, _) in _STATES.items()),
            _LEFT_OUT,
            _NO_CREDENTIAL,
        ],
        empty_label="All",
        widget=QuickSelect,
        method="by_state",
        label="State",
    )

    class Meta:
        model = Device
        fields: list[str] = []

    def search(self, devices: QuerySet[Device], name: str, value: str) -> QuerySet[Device]:
        """Those with this text in the hostname or the address."""
        text = value.strip()
        return devices.filter(Q(hostname__icontains=text) | Q(ip_address__icontains=text))

    def by_result(self, devices: QuerySet[Device], name: str, value: str) -> QuerySet[Device]:
        """Those whose last result has this status."""
        return devices_by_last_status(
            devices=devices, status=None if value == _NO_RESULT else value
        )

    def by_freshness(self, devices: QuerySet[Device], name: str, value: str) -> QuerySet[Device]:
        """The active ones whose last backup is as old as this says."""
        active = with_freshness(
            devices=devices.filter(is_active=True), of_all=not self.data.get("tag")
        )
        return devices_in_state(devices=active, state=Freshness(value))

    def by_state(self, devices: QuerySet[Device], name: str, value: str) -> QuerySet[Device]:
        """Those in one of the states of this list."""
        if value == _LEFT_OUT[0]:
            return devices.filter(skipped_until__gt=timezone.now())
        if value == _NO_CREDENTIAL[0]:
            return devices_without_credential(devices=devices.filter(is_active=True))
        return devices.filter(_STATES[value][1])


class DevicesPage(ListPage):
    """Every device, with how its last backup went."""

    title = "Devices"
    template_name = "jobs/devices.html"
    permissions = ("inventory.view_device",)
    filterset_class = DeviceFilter
    orderings = {
        "hostname": "hostname",
        "address": "ip_address",
        "platform": "platform",
        "zone": "zone__name",
        "backup": "last_backup_at",
        "change": "last_change_at",
    }
    default_ordering = "hostname"

    def get_queryset(self) -> QuerySet[Device]:
        devices = devices_with_state(devices=devices_visible_to(user=self.request.user))
        return devices.only("hostname", "ip_address", "platform", "is_active")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        may_run = self.request.user.has_perm("jobs.run_job")
        may_change = self.request.user.has_perm("inventory.change_device")
        return super().get_context_data(
            may_run=may_run,
            may_change=may_change,
            tags=tags_visible_to(user=self.request.user) if may_change else (),
            tests_at_once=TESTS_AT_ONCE,
            **kwargs,
        )


class DevicesAction(PageAction):
    """Something that is done to the ticked devices, or to all that fit the filters."""

    def chosen(self) -> QuerySet[Device]:
        """The devices that the form and the filters of its address mean, as far as visible."""
        visible = devices_visible_to(user=self.request.user)
        if self.request.POST.get("which") == "all":
            filtered = DeviceFilter(self.request.GET, queryset=visible, request=self.request)
            return filtered.qs if filtered.is_valid() else visible.none()
        ticked = self.request.POST.getlist("device")
        return visible.filter(pk__in=[pk for one in ticked if (pk := parsed_id(one)) is not None])

    def to_list(self) -> HttpResponse:
        """Back to the list with the filters that it had."""
        address = redirect("jobs:devices").url
        query = self.request.GET.urlencode()
        return redirect(f"{address}?{query}" if query else address)

    def nothing_chosen(self) -> HttpResponse:
        """Back to the list, with what to do."""
        messages.warning(self.request, "No device was chosen; tick at least one.")
        return self.to_list()


class BackUpDevices(DevicesAction):
    """Backs the chosen devices up at once."""

    permissions = ("inventory.view_device", "jobs.run_job")

    def post(self, request: HttpRequest) -> HttpResponse:
        """Lead to the monitor of the run."""
        try:
            run = request_backup(devices=self.chosen(), requested_by=cast("User", request.user))
        except NothingToBackUp as error:
            messages.warning(request, sentence(error))
            return self.to_list()
        messages.success(request, f"Run {run.pk} backs up {run.total_count} devices.")
        return redirect("jobs:run", run.pk)


class TagDevices(DevicesAction):
    """Gives a tag to the chosen devices, or takes it away."""

    permissions = ("inventory.view_device", "inventory.change_device")

    def post(self, request: HttpRequest) -> HttpResponse:
        """Lead back to the list."""
        tag = tags_visible_to(user=request.user).filter(name=self._name()).first()
        if tag is None:
            messages.warning(request, "Choose the tag first.")
            return self.to_list()
        if request.POST.get("action") != "remove":
            count = devices_tag(devices=self.chosen(), tag=tag)
            messages.success(request, f"Tag '{tag}' was given to {count} devices.")
            return self.to_list()
        try:
            count = devices_untag(devices=self.chosen(), tag=tag, limit=limit_of(user=request.user))
        except TagStays as error:
            messages.error(request, f"No tag was taken away: {error}.")
        else:
            messages.success(request, f"Tag '{tag}' was taken away from {count} devices.")
        return self.to_list()

    def _name(self) -> str:
        return self.request.POST.get("tag", "").replace("\x00", "")


class TestDevices(DevicesAction, Page):
    """Logs in to the chosen devices and out again; stores nothing."""

    title = "Connection test"
    template_name = "jobs/connection_tests.html"
    permissions = ("inventory.view_device", "jobs.run_job")

    def post(self, request: HttpRequest) -> HttpResponse:
        """Show how far each log-in got."""
        try:
            tests = connections_test_while_waiting(devices=self.chosen())
        except TooManyTests as error:
            messages.warning(request, str(error))
            return self.to_list()
        if not tests:
            return self.nothing_chosen()
        context = self.get_context_data(tests=tests, back=self.to_list().headers["Location"])
        return TemplateResponse(request, self.get_template_names(), context)
