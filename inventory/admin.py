"""Devices, zones, jump hosts and their host keys in the admin."""

from __future__ import annotations

from typing import Any, TypeVar

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.decorators import action
from unfold.widgets import UnfoldAdminSelectWidget

from credentials.admin import ReadOnlyAdmin
from credentials.scoped import WholeAdmin
from credentials.transfer import TransferAdmin
from inventory.breaker import breaker_reset
from inventory.models import CredentialUse, Device, HostKeyChange, HostKeyOwner, JumpHost, Zone
from inventory.platforms import platform_names
from inventory.resolution import credentials_explained
from inventory.scoped import ScopedAdmin
from inventory.services import HostKeyNotAccepted, host_key_accept, host_key_forget
from inventory.transfer import DeviceResource, ZoneResource
from inventory.visibility import is_limited, jump_hosts_visible_to, zones_nameable_by

_Owner = TypeVar("_Owner", bound=HostKeyOwner)


class DeviceForm(forms.ModelForm[Device]):
    """Offers the platforms that have a definition."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "platform" not in self.fields:  # for those who may only look
            return
        names = [(name, name) for name in platform_names()]
        self.fields["platform"].widget = UnfoldAdminSelectWidget(choices=[("", "---"), *names])
        self.fields["port"].help_text = "With Telnet, 22 becomes 23."

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
            "transport",
            "jump_host",
            "legacy_algorithms",
            "connect_timeout_seconds",
            "login_timeout_seconds",
            "command_timeout_seconds",
            "deadline_seconds",
        ]


class HostKeyOwnerAdmin(ModelAdmin[_Owner]):
    """What devices and jump hosts have in common: deciding about their host keys."""

    actions: Any = ["accept_host_key", "forget_host_key"]

    @admin.display(description="Host key")
    def known_key(self, owner: _Owner) -> str:
        return owner.host_key_fingerprint or "none yet"

    @admin.display(description="New host key")
    def new_key(self, owner: _Owner) -> str:
        return owner.offered_fingerprint or "-"

    @action(description="Accept the new host key", permissions=["change"])
    def accept_host_key(
        self, request: HttpRequest, queryset: QuerySet[_Owner]
    ) -> HttpResponse | None:
        """Show both fingerprints first; accept what was shown, and nothing else."""
        if "confirmed" in request.POST:
            self._accept(request, queryset)
            return None
        owners = list(queryset.exclude(offered_host_key=""))
        if not owners:
            self.message_user(
                request, "No host key of these waits for a decision.", messages.WARNING
            )
            return None
        context = self.admin_site.each_context(request) | {
            "title": "Accept the new host key",
            "opts": self.opts,
            "owners": owners,
        }
        return TemplateResponse(request, "inventory/accept_host_key.html", context)

    def _accept(self, request: HttpRequest, queryset: QuerySet[_Owner]) -> None:
        for owner in queryset:
            shown = request.POST.get(f"fingerprint-{owner.pk}", "")
            try:
                host_key_accept(
                    owner=owner, fingerprint=shown, changed_by=request.user.get_username()
                )
            except HostKeyNotAccepted as error:
                self.message_user(request, str(error), messages.ERROR)
            else:
                self.message_user(request, f"The new host key of {owner} is accepted.")

    @action(description="Forget the host key", permissions=["change"])
    def forget_host_key(self, request: HttpRequest, queryset: QuerySet[_Owner]) -> None:
        """Take whatever key the host shows next; for one that was replaced."""
        for owner in queryset:
            host_key_forget(owner=owner, changed_by=request.user.get_username())
        self.message_user(
            request, f"{len(queryset)} host keys are forgotten; the next ones are the first ones."
        )


class LeftOutFilter(admin.SimpleListFilter):
    """What the circuit breaker keeps out of scheduled runs at this moment."""

    title = "circuit breaker"
    parameter_name = "left_out"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Left out of scheduled runs"), ("no", "Not left out")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Device]) -> QuerySet[Device]:
        now = timezone.now()
        if self.value() == "yes":
            return queryset.filter(skipped_until__gt=now)
        if self.value() == "no":
            return queryset.exclude(skipped_until__gt=now)
        return queryset


_HISTORY_KEPT = (
    "stored configurations. Make the device inactive to keep them, or delete them first with "
    "'manage.py purge_history'."
)


@admin.register(Device)
class DeviceAdmin(TransferAdmin, ScopedAdmin, HostKeyOwnerAdmin[Device]):
    resource_classes = [DeviceResource]
    device_path = "pk"
    fixed_when_limited = ["tags", "credential", "jump_host", "zone"]
    form = DeviceForm
    actions = [*HostKeyOwnerAdmin.actions, "reset_breaker"]
    list_display = [
        "hostname",
        "ip_address",
        "port",
        "platform",
        "zone",
        "tag_names",
        "has_unsaved_config",
        "is_active",
    ]
    list_filter = [
        "platform",
        "zone",
        "tags",
        "transport",
        "has_unsaved_config",
        LeftOutFilter,
        "is_active",
    ]
    list_select_related = ["zone"]
    search_fields = ["hostname", "ip_address", "description"]
    autocomplete_fields = ["zone", "tags", "credential", "jump_host"]
    readonly_fields = [
        "credentials_tried",
        "known_key",
        "new_key",
        "model",
        "serial_number",
        "os_version",
        "facts_at",
        "has_unsaved_config",
        "connection_failures",
        "skipped_until",
        "skip_reason",
        "created_at",
        "updated_at",
    ]
    fieldsets = [
        (None, {"fields": ["hostname", "ip_address", "port", "platform", "zone", "is_active"]}),
        (
            "Reach",
            {
                "fields": [
                    "tags",
                    "credential",
                    "transport",
                    "jump_host",
                    "legacy_algorithms",
                    "known_key",
                    "new_key",
                ]
            },
        ),
        (
            "Times",
            {
                "fields": [
                    "connect_timeout_seconds",
                    "login_timeout_seconds",
                    "command_timeout_seconds",
                    "deadline_seconds",
                ]
            },
        ),
        (
            "Found out",
            {"fields": ["model", "serial_number", "os_version", "has_unsaved_config", "facts_at"]},
        ),
        (
            "Circuit breaker",
            {"fields": ["connection_failures", "skipped_until", "skip_reason"]},
        ),
        ("Notes", {"fields": ["description", "created_at", "updated_at"]}),
    ]
    #: For those who may see credentials.
    credentials_fieldset = ("Credentials", {"fields": ["credentials_tried"]})

    def get_fieldsets(self, request: HttpRequest, obj: Device | None = None) -> Any:
        fieldsets: list[Any] = list(super().get_fieldsets(request, obj))
        if obj is not None and request.user.has_perm("credentials.view_credential"):
            fieldsets.insert(2, self.credentials_fieldset)
        return fieldsets

    def get_object(self, request: HttpRequest, object_id: str, *args: Any) -> Device | None:
        device = super().get_object(request, object_id, *args)
        if device is not None:
            device.shown_to = request.user
        return device

    @admin.display(description="In the order in which they are tried")
    def credentials_tried(self, device: Any) -> str:
        found = credentials_explained(device=device, shown_to=device.shown_to)
        return render_to_string("inventory/credentials_tried.html", found)

    def formfield_for_foreignkey(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        if db_field.name == "zone":
            kwargs = {"queryset": zones_nameable_by(user=request.user)} | kwargs
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Device]:
        return super().get_queryset(request).prefetch_related("tags")

    @admin.display(description="Tags")
    def tag_names(self, device: Device) -> str:
        return ", ".join(tag.name for tag in device.tags.all())

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[str]]:
        """What hangs on a device goes with it, whoever may delete that by itself.

        What is stored of it does not, and in place of a list of it all one line says what to do.
        """
        deleted, counts, _, protected = super().get_deleted_objects(objs, request)
        return deleted, counts, set(), [_HISTORY_KEPT] if protected else []

    @action(description="Reset the circuit breaker", permissions=["change"])
    def reset_breaker(self, request: HttpRequest, queryset: QuerySet[Device]) -> None:
        # By id: what can be updated has no order and no join.
        ids = list(queryset.values_list("pk", flat=True))
        count = breaker_reset(devices=Device.objects.filter(pk__in=ids))
        self.message_user(request, f"{count} devices had failures; scheduled runs try them again.")


@admin.register(JumpHost)
class JumpHostAdmin(WholeAdmin, HostKeyOwnerAdmin[JumpHost]):
    is_readable_when_limited = True
    list_display = ["name", "ip_address", "port", "credential", "via", "known_key", "new_key"]
    list_filter = ["tags"]
    list_select_related = ["credential", "via"]
    search_fields = ["name", "ip_address", "description"]
    autocomplete_fields = ["credential", "via", "tags"]
    readonly_fields = ["known_key", "new_key"]
    fields = [
        "name",
        "ip_address",
        "port",
        "credential",
        "via",
        "tags",
        "legacy_algorithms",
        "max_sessions",
        "known_key",
        "new_key",
        "description",
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[JumpHost]:
        visible = jump_hosts_visible_to(user=request.user)
        return super().get_queryset(request).filter(pk__in=visible.order_by().values("pk"))


@admin.register(CredentialUse)
class CredentialUseAdmin(ScopedAdmin, ReadOnlyAdmin):
    """How devices answered to credentials: to look at, not to edit."""

    list_display = ["device", "credential", "last_success_at", "last_failure_at"]
    list_select_related = ["device", "credential"]
    list_filter = ["last_success_at", "last_failure_at"]
    search_fields = ["device__hostname", "credential__name"]
    fields = ["device", "credential", "last_success_at", "last_failure_at"]


@admin.register(HostKeyChange)
class HostKeyChangeAdmin(ScopedAdmin, ReadOnlyAdmin):
    """Who accepted or forgot which host key: to look at, not to edit."""

    list_display = ["host", "changed_at", "changed_by", "old_fingerprint", "new_fingerprint"]
    list_filter = ["changed_at"]
    search_fields = ["host", "changed_by", "old_fingerprint", "new_fingerprint"]
    fields = ["host", "old_fingerprint", "new_fingerprint", "changed_by", "changed_at"]


@admin.register(Zone)
class ZoneAdmin(TransferAdmin, WholeAdmin, ModelAdmin[Zone]):
    resource_classes = [ZoneResource]
    is_readable_when_limited = True
    list_display = ["name", "host_key_mode", "default_credential", "max_sessions", "description"]
    list_filter = ["host_key_mode"]
    list_select_related = ["default_credential"]
    search_fields = ["name", "description"]
    autocomplete_fields = ["default_credential"]

    def get_list_display(self, request: HttpRequest) -> Any:
        columns = super().get_list_display(request)
        if not is_limited(user=request.user):
            return columns
        return [name for name in columns if name != "default_credential"]

    def get_exclude(self, request: HttpRequest, obj: Zone | None = None) -> Any:
        """A limited user may not see the credential."""
        return ["default_credential"] if is_limited(user=request.user) else None
