"""Notifications in the admin. Addresses of targets can be set there, never read."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from credentials.admin import ReadOnlyAdmin, password_field
from credentials.scoped import WholeAdmin
from jobs.choices import EventKind, MessageState
from jobs.models import NotificationEvent, NotificationMessage, NotificationRule, NotificationTarget
from jobs.models.columns import choices_of
from jobs.notifications.delivery import message_replay, send_test_message
from jobs.notifications.targets import target_check, target_set_secrets

_COLOURS = {
    MessageState.PENDING.value: "info",
    MessageState.SENT.value: "success",
    MessageState.FAILED.value: "danger",
}


class TargetForm(forms.ModelForm[NotificationTarget]):
    """Writes secrets, shows none."""

    url = password_field("Address")
    signing_secret = password_field("Signing secret of a webhook")

    class Meta:
        model = NotificationTarget
        fields = ["name", "kind", "is_enabled"]

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        # It decides what the address may be, and is on the instance only after this.
        self.instance.kind = self.cleaned_data.get("kind", self.instance.kind)
        secrets = {name: self.cleaned_data.get(name) or None for name in ("url", "signing_secret")}
        try:
            target_set_secrets(target=self.instance, **secrets)
            target_check(target=self.instance)
        except ValidationError as error:
            self.add_error(None, error.messages)
        return cleaned


@admin.register(NotificationTarget)
class NotificationTargetAdmin(WholeAdmin, ModelAdmin[NotificationTarget]):
    form = TargetForm
    actions = ["send_test"]
    list_display = ["name", "kind", "address", "is_enabled", "sent_at", "failures", "error"]
    list_filter = ["kind", "is_enabled"]
    search_fields = ["name", "address"]
    readonly_fields = ["address", "sent_at", "failures", "retry_at", "error"]
    fieldsets = [
        (None, {"fields": ["name", "kind", "is_enabled", "url", "signing_secret"]}),
        ("Deliveries", {"fields": ["address", "sent_at", "failures", "retry_at", "error"]}),
    ]

    @action(description="Send a test message", permissions=["change"])
    def send_test(self, request: HttpRequest, queryset: QuerySet[NotificationTarget]) -> None:
        for target in queryset:
            error = send_test_message(target=target).error
            if error:
                self.message_user(request, f"{target}: {error}", messages.ERROR)
            else:
                self.message_user(request, f"{target}: the message was taken.")


class RuleForm(forms.ModelForm[NotificationRule]):
    """Events as boxes to tick."""

    events = forms.MultipleChoiceField(
        choices=choices_of(EventKind), widget=UnfoldAdminCheckboxSelectMultipleWidget
    )

    class Meta:
        model = NotificationRule
        fields = "__all__"  # noqa: DJ007  # all of them are for people


@admin.register(NotificationRule)
class NotificationRuleAdmin(WholeAdmin, ModelAdmin[NotificationRule]):
    form = RuleForm
    list_display = ["name", "is_enabled", "minimum_severity", "is_digest", "told"]
    list_filter = ["is_enabled", "tags"]
    search_fields = ["name"]
    autocomplete_fields = ["tags", "targets"]

    @admin.display(description="Events")
    def told(self, rule: NotificationRule) -> str:
        return ", ".join(rule.events)


@admin.register(NotificationEvent)
class NotificationEventAdmin(WholeAdmin, ReadOnlyAdmin):
    list_display = ["happened_at", "kind", "severity", "subject", "text", "is_change"]
    list_filter = ["kind", "severity", "happened_at"]
    search_fields = ["subject", "text"]
    fields = ["happened_at", "kind", "severity", "subject", "text", "is_change", "run", "device"]


@admin.register(NotificationMessage)
class NotificationMessageAdmin(WholeAdmin, ReadOnlyAdmin):
    list_display = ["subject", "target", "rule", "coloured_state", "attempts", "created_at"]
    list_filter = ["state", "target", "rule", "created_at"]
    list_select_related = ["rule", "target"]
    search_fields = ["subject"]
    actions = ["replay"]
    fields = [
        "subject",
        "target",
        "rule",
        "run",
        "coloured_state",
        "delivery_id",
        "created_at",
        "due_at",
        "sent_at",
        "tries",
    ]
    readonly_fields = ["coloured_state", "tries"]

    @display(description="State", label=_COLOURS, ordering="state")
    def coloured_state(self, message: NotificationMessage) -> str:
        return message.state

    @admin.display(description="Deliveries")
    def tries(self, message: NotificationMessage) -> str:
        return "; ".join(
            f"{one.at:%Y-%m-%d %H:%M:%S}: {one.error or 'taken'}"
            for one in message.deliveries.all()
        )

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("jobs.replay_message")

    @action(description="Send again", permissions=["replay"])
    def replay(self, request: HttpRequest, queryset: QuerySet[NotificationMessage]) -> None:
        count = sum(message_replay(message=message) for message in queryset)
        self.message_user(request, f"{count} messages are sent again within moments.")
