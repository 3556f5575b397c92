"""Credentials in the API. Secrets go in, and never out."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from common.api.filters import Filters, filters, lookups, named
from common.api.resources import ResourceSerializer, ResourceViewSet
from credentials.api.fields import max_sessions_field, whole_number
from credentials.api.tagged import TaggedSerializer
from credentials.models import (
    Credential,
    Tag,
)
from credentials.permissions import IsNotLimitedToWrite
from credentials.services import SECRET_FIELDS, credential_save
from credentials.visibility import credentials_visible_to


def _secret_field(help_text: str) -> serializers.CharField:
    return serializers.CharField(
        write_only=True,
        required=False,
        allow_blank=True,
        allow_null=True,
        trim_whitespace=False,
        style={"input_type": "password"},
        help_text=f"{help_text} Never shown. Left out or null keeps what is stored, an empty text "
        "removes it.",
    )


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A password",
            request_only=True,
            value={
                "name": "site-b",
                "username": "netops",
                "password": "correct horse battery staple",
                "enable_secret": "staple battery",
                "tags": ["site-b"],
                "priority": 20,
            },
        )
    ]
)
class CredentialSerializer(TaggedSerializer[Credential], ResourceSerializer[Credential]):
    """A credential; of its secrets only whether there is one."""

    beside_columns = tuple(SECRET_FIELDS)

    priority = whole_number(
        low=Credential.MIN_PRIORITY, high=Credential.MAX_PRIORITY, required=False
    )
    max_sessions = max_sessions_field()
    password = _secret_field("Password of the log-in.")
    enable_secret = _secret_field("Secret of the privileged mode.")
    ssh_key = _secret_field("Private key in OpenSSH or PEM form.")
    ssh_key_passphrase = _secret_field("Passphrase of the SSH key.")

    class Meta:
        model = Credential
        read_only_fields = [
            "has_password",
            "has_enable_secret",
            "has_ssh_key",
            "has_passphrase",
            "created_at",
            "updated_at",
        ]
        fields = [
            "id",
            "name",
            "username",
            "priority",
            "is_active",
            "tags",
            "description",
            "max_sessions",
            "provider",
            "reference",
            *SECRET_FIELDS,
            *read_only_fields,
            "etag",
        ]

    def save_row(self, row: Credential, tags: list[Tag] | None, **beside: Any) -> Credential:
        return credential_save(credential=row, secrets=beside, tags=tags)


def _has(column: str) -> filters.BooleanFilter:
    return filters.BooleanFilter(column, lookup_expr="isnull", exclude=True)


class CredentialFilter(Filters):
    """By every column; of the secrets only whether there is one."""

    tags = named("tags__name")
    has_password = _has("sealed_password")
    has_enable_secret = _has("sealed_enable_secret")
    has_ssh_key = _has("sealed_ssh_key")
    has_passphrase = _has("sealed_ssh_key_passphrase")

    class Meta:
        model = Credential
        fields = {
            **lookups(Credential, "id", "name", "username", "priority", "is_active", "description"),
            **lookups(Credential, "max_sessions", "provider", "reference"),
            **lookups(Credential, "created_at", "updated_at"),
            "tags__name": ["exact"],
        }


class CredentialViewSet(ResourceViewSet[Credential]):
    """What devices are logged in to with, without secrets; limited users see their tags' ones."""

    queryset = Credential.objects.prefetch_related("tags")
    serializer_class = CredentialSerializer
    filterset_class = CredentialFilter
    search_fields = ["name", "username", "description"]
    ordering_fields = [
        *("id", "name", "username", "priority", "is_active", "max_sessions", "provider"),
        *("reference", "created_at", "updated_at"),
    ]

    def get_permissions(self) -> list[Any]:
        return [*super().get_permissions(), IsNotLimitedToWrite()]

    def get_queryset(self) -> QuerySet[Credential]:
        """Those that the caller may see."""
        visible = credentials_visible_to(user=self.request.user)
        return super().get_queryset().filter(pk__in=visible.values("pk"))
