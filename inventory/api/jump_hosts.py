"""Jump hosts in the API."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from common.api.filters import Filters, lookups, named
from common.api.resources import ResourceSerializer
from credentials.api.fields import NameField
from credentials.api.tagged import TaggedSerializer
from credentials.models import Credential, Tag
from credentials.permissions import IsNotLimitedToWrite
from inventory.api.host_keys import HostKeyOwnerViewSet, fingerprint_field
from inventory.models import JumpHost
from inventory.services import jump_host_save
from inventory.visibility import jump_hosts_visible_to


class JumpHostSerializer(TaggedSerializer[JumpHost], ResourceSerializer[JumpHost]):
    """A jump host; tags, credential and the jump host before it go by name."""

    credential = NameField(slug_field="name", queryset=Credential.objects.all())
    via = NameField(
        slug_field="name", queryset=JumpHost.objects.all(), required=False, allow_null=True
    )
    host_key = fingerprint_field("host_key_fingerprint")
    offered_host_key = fingerprint_field("offered_fingerprint")

    class Meta:
        model = JumpHost
        fields = [
            "id",
            "name",
            "ip_address",
            "port",
            "credential",
            "via",
            "tags",
            "legacy_algorithms",
            "max_sessions",
            "description",
            "host_key",
            "offered_host_key",
            "etag",
        ]

    def save_row(self, row: JumpHost, tags: list[Tag] | None, **beside: Any) -> JumpHost:
        return jump_host_save(jump_host=row, tags=tags)


class JumpHostFilter(Filters):
    """By every column."""

    tags = named("tags__name")
    credential = named("credential__name")
    via = named("via__name")

    class Meta:
        model = JumpHost
        fields = {
            **lookups(JumpHost, "id", "name", "ip_address", "port", "legacy_algorithms"),
            **lookups(JumpHost, "max_sessions", "description"),
            "via": ["isnull"],
            "tags__name": ["exact"],
        }


class JumpHostViewSet(HostKeyOwnerViewSet[JumpHost]):
    """SSH servers that the way to devices leads through; limited users see those of their tags."""

    queryset = JumpHost.objects.select_related("credential", "via").prefetch_related("tags")
    serializer_class = JumpHostSerializer
    filterset_class = JumpHostFilter
    search_fields = ["name", "ip_address", "description"]
    ordering_fields = ["id", "name", "ip_address", "port", "credential", "max_sessions"]

    def get_permissions(self) -> list[Any]:
        return [*super().get_permissions(), IsNotLimitedToWrite()]

    def get_queryset(self) -> QuerySet[JumpHost]:
        """Those that the caller may see."""
        visible = jump_hosts_visible_to(user=self.request.user)
        return super().get_queryset().filter(pk__in=visible.order_by().values("pk"))
