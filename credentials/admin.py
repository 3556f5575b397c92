"""Tags and credentials in the admin. Secrets can be set there, never read."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from import_export.fields import Field
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextareaWidget

from credentials.models import TAG_IS_KEPT, Credential, Tag
from credentials.scoped import WholeAdmin
from credentials.services import SECRET_FIELDS, credential_check, credential_set_secrets
from credentials.transfer import CheckedResource, TagNames, TransferAdmin, WholeNumber, YesOrNo
from credentials.visibility import credentials_visible_to, tags_visible_to


class ReadOnlyAdmin(ModelAdmin):
    """Rows that NetRaven writes and people read; the apps to the left use it as well."""

    #: These tables grow without end, and the number of all rows beside that of those found would
    #: cost a second look at them all.
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


_KEEP = "Leave empty to keep what is stored."


def password_field(label: str) -> forms.CharField:
    """A field for a secret that is stored already, or not yet; empty keeps it."""
    # Never rendered back: the value of a submitted form that failed is not shown again either.
    widget = UnfoldAdminPasswordWidget(render_value=False, attrs={"autocomplete": "new-password"})
    return forms.CharField(label=label, required=False, strip=False, widget=widget, help_text=_KEEP)


class _SecretTextarea(UnfoldAdminTextareaWidget):
    """A text area that never shows what was typed or stored."""

    def format_value(self, value: object) -> str:
        return ""


class CredentialForm(forms.ModelForm[Credential]):
    """Writes secrets, shows none."""

    password = password_field("Password")
    enable_secret = password_field("Enable secret")
    ssh_key = forms.CharField(
        label="SSH private key", required=False, widget=_SecretTextarea(), help_text=_KEEP
    )
    ssh_key_passphrase = password_field("Passphrase of the SSH key")

    class Meta:
        model = Credential
        fields = [
            "name",
            "username",
            "priority",
            "is_active",
            "tags",
            "description",
            "max_sessions",
            "provider",
            "reference",
        ]

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        secrets = {field: self.cleaned_data.get(field) or None for field in SECRET_FIELDS}
        # They decide what becomes of the secrets, and are on the instance only after this.
        self.instance.provider = self.cleaned_data.get("provider", self.instance.provider)
        self.instance.reference = self.cleaned_data.get("reference", self.instance.reference)
        try:
            credential_set_secrets(credential=self.instance, **secrets)
            credential_check(credential=self.instance)
        except ValidationError as error:
            self.add_error(None, error)
        return cleaned


class CredentialResource(CheckedResource):
    """Credentials by name, without their secrets, which are set one by one or stand elsewhere."""

    priority = Field("priority", "priority", WholeNumber())
    is_active = Field("is_active", "is_active", YesOrNo())
    max_sessions = Field("max_sessions", "max_sessions", WholeNumber())
    tags = Field("tags", "tags", TagNames())

    class Meta(CheckedResource.Meta):
        model = Credential
        fields = CredentialForm.Meta.fields

    def validate_instance(
        self,
        instance: Credential,
        import_validation_errors: dict[str, Any] | None = None,
        validate_unique: bool = True,
    ) -> None:
        errors = dict(import_validation_errors or {})
        try:
            credential_check(credential=instance)
        except ValidationError as error:
            errors = error.update_error_dict(errors)
        super().validate_instance(instance, errors, validate_unique)


@admin.register(Credential)
class CredentialAdmin(TransferAdmin, WholeAdmin, ModelAdmin[Credential]):
    resource_classes = [CredentialResource]
    is_readable_when_limited = True
    form = CredentialForm
    list_display = ["name", "username", "priority", "is_active", "has_enable_secret", "has_ssh_key"]
    list_filter = ["is_active", "tags"]
    search_fields = ["name", "username", "description"]
    autocomplete_fields = ["tags"]
    fieldsets = [
        (None, {"fields": ["name", "username", "priority", "is_active", "tags", "description"]}),
        ("Politeness", {"fields": ["max_sessions"]}),
        (
            "Secrets",
            {
                "fields": [
                    "provider",
                    "reference",
                    "password",
                    "enable_secret",
                    "ssh_key",
                    "ssh_key_passphrase",
                ]
            },
        ),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Credential]:
        visible = credentials_visible_to(user=request.user)
        return super().get_queryset(request).filter(pk__in=visible.order_by().values("pk"))

    @admin.display(boolean=True, description="Enable secret")
    def has_enable_secret(self, credential: Credential) -> bool:
        return credential.has_enable_secret

    @admin.display(boolean=True, description="SSH key")
    def has_ssh_key(self, credential: Credential) -> bool:
        return credential.has_ssh_key


class TagResource(CheckedResource):
    """Tags by name."""

    max_sessions = Field("max_sessions", "max_sessions", WholeNumber())
    freshness_hours = Field("freshness_hours", "freshness_hours", WholeNumber())

    class Meta(CheckedResource.Meta):
        model = Tag
        fields = ("name", "description", "max_sessions", "freshness_hours")


@admin.register(Tag)
class TagAdmin(TransferAdmin, WholeAdmin, ModelAdmin[Tag]):
    resource_classes = [TagResource]
    is_readable_when_limited = True
    list_display = ["name", "max_sessions", "freshness_hours", "description"]
    search_fields = ["name", "description"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Tag]:
        visible = tags_visible_to(user=request.user)
        return super().get_queryset(request).filter(pk__in=visible.order_by().values("pk"))

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[str]]:
        """What holds a tag back is told in words; Django would list rows of relations."""
        deleted, counts, needed, protected = super().get_deleted_objects(objs, request)
        return deleted, counts, needed, [TAG_IS_KEPT] if protected else []
