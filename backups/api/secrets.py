"""Reports about secrets over the API: told by tokens, never a secret itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, viewsets
from rest_framework.decorators import action
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from backups.api.search import DeviceFilterSerializer
from backups.models import SecretUse
from backups.selectors.secrets import (
    device_secret_uses,
    placed_secrets,
    secret_uses,
    shared_secret_rows,
    shared_secrets,
    stale_secret_uses,
)
from inventory.visibility import devices_visible_to, scope_of


class SharedQuerySerializer(DeviceFilterSerializer):
    """Which shared secrets are wanted."""

    min_devices = serializers.IntegerField(default=2, min_value=1, max_value=1_000_000)


class StaleQuerySerializer(DeviceFilterSerializer):
    """Which old secrets are wanted."""

    older_than_days = serializers.IntegerField(default=90, min_value=0, max_value=36_500)


class DeviceNameSerializer(serializers.Serializer[Any]):
    """A device by id and hostname."""

    device = serializers.IntegerField(source="device_id")
    hostname = serializers.CharField()


class SharedSecretSerializer(serializers.Serializer[Any]):
    """A secret that several devices have; ``devices`` names the first of them."""

    token = serializers.CharField()
    device_count = serializers.IntegerField()
    use_count = serializers.IntegerField()
    places = serializers.ListField(child=serializers.CharField())
    devices = DeviceNameSerializer(many=True)
    oldest_change_at = serializers.DateTimeField()
    newest_change_at = serializers.DateTimeField()


class PlacedSecretSerializer(serializers.Serializer[Any]):
    """A place of a device where a secret stands."""

    device = serializers.IntegerField(source="device_id")
    hostname = serializers.CharField()
    place = serializers.CharField()
    line_number = serializers.IntegerField()
    token = serializers.CharField()
    shared_with = serializers.IntegerField()
    first_seen_at = serializers.DateTimeField()
    changed_at = serializers.DateTimeField()
    age_days = serializers.IntegerField()


class SecretViewSet(viewsets.GenericViewSet[SecretUse]):
    """Which secrets devices share, where one stands, and which are old."""

    queryset = SecretUse.objects.none()
    filter_backends = []
    lookup_field = "token"
    lookup_value_regex = "[0-9a-f]{8}"

    @extend_schema(parameters=[SharedQuerySerializer], responses=SharedSecretSerializer(many=True))
    def list(self, request: Request) -> Response:
        """Secrets that more than one device has, those of most devices first."""
        query = SharedQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        devices = query.device_filter()
        scope = scope_of(user=request.user)
        shared = shared_secrets(
            device_filter=devices, min_devices=query.validated_data["min_devices"], scope=scope
        )
        page = self.paginate_queryset(shared) or []
        rows = shared_secret_rows(rows=page, device_filter=devices, scope=scope)
        return self.get_paginated_response(SharedSecretSerializer(rows, many=True).data)

    @extend_schema(
        operation_id="secrets_places_list",
        parameters=[DeviceFilterSerializer],
        responses=PlacedSecretSerializer(many=True),
    )
    def retrieve(self, request: Request, token: str) -> Response:
        """The places in which one secret stands, by hostname."""
        query = DeviceFilterSerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        uses = secret_uses(
            token=token, device_filter=query.device_filter(), scope=scope_of(user=request.user)
        )
        return _placed(self, uses)

    @extend_schema(parameters=[StaleQuerySerializer], responses=PlacedSecretSerializer(many=True))
    @action(detail=False)
    def stale(self, request: Request) -> Response:
        """Places whose secret has not changed for a long time, the oldest first."""
        query = StaleQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        days = timedelta(days=query.validated_data["older_than_days"])
        uses = stale_secret_uses(
            older_than=days,
            device_filter=query.device_filter(),
            scope=scope_of(user=request.user),
        )
        return _placed(self, uses)


class DeviceSecretsView(GenericAPIView[SecretUse]):
    """The places of one device where secrets stand."""

    queryset = SecretUse.objects.none()
    filter_backends = []

    @extend_schema(responses=PlacedSecretSerializer(many=True))
    def get(self, request: Request, device_id: int) -> Response:
        """The places of a device where secrets stand, in the order of its lines."""
        device = get_object_or_404(devices_visible_to(user=request.user), pk=device_id)
        return _placed(self, device_secret_uses(device=device))


def _placed(view: GenericAPIView[SecretUse], uses: QuerySet[SecretUse]) -> Response:
    scope = scope_of(user=view.request.user)
    rows = placed_secrets(uses=view.paginate_queryset(uses) or [], scope=scope)
    return view.get_paginated_response(PlacedSecretSerializer(rows, many=True).data)
