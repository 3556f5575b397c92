"""The audit log in the API: to read, never to change."""

from __future__ import annotations

from typing import Any

from auditlog.models import LogEntry
from django.core.validators import validate_ipv46_address
from rest_framework import serializers, viewsets

from common.api.filters import Filters, filters, lookups
from credentials.permissions import IsNotLimited


class AuditSerializer(serializers.ModelSerializer[LogEntry]):
    """One deed."""

    at = serializers.DateTimeField(source="timestamp")
    by = serializers.SerializerMethodField(help_text="User name or command line.")
    address = serializers.CharField(source="remote_addr", allow_null=True)
    event = serializers.SerializerMethodField(
        help_text="create, update, delete, login, logout, login failed or locked out."
    )
    kind = serializers.CharField(source="content_type.model")
    object_id = serializers.CharField(source="object_pk")
    object = serializers.CharField(source="object_repr")
    changes = serializers.JSONField(help_text="By field: before and after.")

    class Meta:
        model = LogEntry
        fields = ["id", "at", "by", "address", "event", "kind", "object_id", "object", "changes"]
        read_only_fields = fields

    def get_by(self, entry: LogEntry) -> str:
        return str((entry.additional_data or {}).get("by", ""))

    def get_event(self, entry: LogEntry) -> str:
        event = (entry.additional_data or {}).get("event")
        return str(event or entry.get_action_display())


class AuditFilter(Filters):
    """By whom, of what, from where and when; ``until`` itself is left out."""

    by = filters.CharFilter("additional_data__by")
    event = filters.CharFilter("additional_data__event")
    kind = filters.CharFilter("content_type__model")
    object_id = filters.CharFilter("object_pk")
    since = filters.IsoDateTimeFilter("timestamp", lookup_expr="gte")
    until = filters.IsoDateTimeFilter("timestamp", lookup_expr="lt")
    address = filters.CharFilter("remote_addr", validators=[validate_ipv46_address])
    object = filters.CharFilter("object_repr", lookup_expr="icontains")
    changes = filters.CharFilter(
        "changes", lookup_expr="has_key", help_text="A field that was changed."
    )

    class Meta:
        model = LogEntry
        fields = lookups(LogEntry, "id")


class AuditViewSet(viewsets.ReadOnlyModelViewSet[LogEntry]):
    """Who did what, the newest first."""

    queryset = LogEntry.objects.select_related("content_type").order_by("-id")
    serializer_class = AuditSerializer
    filterset_class = AuditFilter
    search_fields = ["object_repr"]
    ordering_fields = ["id", "timestamp", "object_repr"]

    def get_permissions(self) -> list[Any]:
        return [*super().get_permissions(), IsNotLimited()]
