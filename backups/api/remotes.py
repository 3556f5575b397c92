"""Git remotes in the API."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import exceptions, serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from backups.models import GitRemote
from backups.selectors.remotes import lag_of, remotes_with_lag
from backups.services.remotes import remote_save, remotes_mark_due
from common.api.filters import Filters, lookups, named
from common.api.permissions import MayChangeModel
from common.api.resources import ResourceSerializer
from credentials.api.fields import NameField
from credentials.models import Credential
from credentials.permissions import IsNotLimited
from inventory.api.host_keys import HostKeyOwnerViewSet
from inventory.models import Zone


class RemoteLagSerializer(serializers.Serializer[Any]):
    """What a remote has yet to get."""

    snapshots = serializers.IntegerField()
    seconds = serializers.FloatField(allow_null=True)


class GitRemoteSerializer(ResourceSerializer[GitRemote]):
    """A Git remote; zone and credential go by name, host keys by fingerprint."""

    #: What is no address may hold a password.
    withheld_fields = frozenset({"url"})

    zone = NameField(
        slug_field="name", queryset=Zone.objects.all(), required=False, allow_null=True
    )
    credential = NameField(
        slug_field="name", queryset=Credential.objects.all(), required=False, allow_null=True
    )
    host_key = serializers.CharField(source="host_key_fingerprint", read_only=True)
    offered_host_key = serializers.CharField(source="offered_fingerprint", read_only=True)
    lag = serializers.SerializerMethodField()

    class Meta:
        model = GitRemote
        read_only_fields = [
            "state",
            "error",
            "pushed_commit",
            "pushed_snapshot_id",
            "pushed_at",
            "attempted_at",
            "failures",
            "next_attempt_at",
        ]
        fields = [
            "id",
            "name",
            "url",
            "zone",
            "credential",
            "is_enabled",
            "host_key",
            "offered_host_key",
            "lag",
            *read_only_fields,
            "etag",
        ]

    @extend_schema_field(RemoteLagSerializer)
    def get_lag(self, remote: GitRemote) -> dict[str, int | float | None]:
        lag = lag_of(remote)
        return {"snapshots": lag.snapshots, "seconds": lag.seconds}

    def create(self, validated_data: dict[str, Any]) -> GitRemote:
        return remote_save(remote=GitRemote(**validated_data))

    def update(self, instance: GitRemote, validated_data: dict[str, Any]) -> GitRemote:
        for field, value in validated_data.items():
            setattr(instance, field, value)
        return remote_save(remote=instance)


class GitRemoteFilter(Filters):
    """By every column."""

    zone = named("zone__name")
    credential = named("credential__name")

    class Meta:
        model = GitRemote
        fields = {
            **lookups(GitRemote, "id", "name", "url", "is_enabled", "state", "error"),
            **lookups(GitRemote, "pushed_commit", "pushed_snapshot_id", "pushed_at"),
            **lookups(GitRemote, "attempted_at", "failures", "next_attempt_at"),
            "zone": ["isnull"],
            "zone__name": ["exact"],
        }


class GitRemoteViewSet(HostKeyOwnerViewSet[GitRemote]):
    """Where the history is pushed to; ``POST {id}/push/`` asks for a push now."""

    queryset = GitRemote.objects.select_related("zone", "credential")
    serializer_class = GitRemoteSerializer
    filterset_class = GitRemoteFilter
    search_fields = ["name", "url"]
    ordering_fields = [
        *("id", "name", "url", "zone", "state", "is_enabled", "failures"),
        *("pushed_at", "attempted_at", "next_attempt_at"),
    ]

    def get_queryset(self) -> QuerySet[GitRemote]:
        """All of them; in a list with what each has yet to get."""
        remotes = super().get_queryset()
        return remotes_with_lag(remotes=remotes) if self.action == "list" else remotes

    def get_permissions(self) -> list[Any]:
        return [*super().get_permissions(), IsNotLimited()]

    @extend_schema(request=None, responses={202: GitRemoteSerializer})
    @action(detail=True, methods=["post"], permission_classes=[MayChangeModel])
    def push(self, request: Request, pk: str | None = None) -> Response:
        """Have the remote pushed to as soon as a worker is free; answers with it as it stands."""
        remote = self.get_object()
        if not remotes_mark_due(remotes=GitRemote.objects.filter(pk=remote.pk)):
            raise exceptions.ValidationError({"is_enabled": ["The remote is disabled."]})
        return Response(self.get_serializer(self.get_object()).data, status.HTTP_202_ACCEPTED)
