"""Host keys in the API: accepting the one that was refused."""

from __future__ import annotations

from typing import Any, TypeVar

from drf_spectacular.utils import extend_schema
from rest_framework import exceptions, serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.permissions import MayChangeModel
from common.api.resources import ResourceViewSet
from inventory.models import HostKeyOwner
from inventory.services import HostKeyNotAccepted, host_key_accept

_Owner = TypeVar("_Owner", bound=HostKeyOwner)


def fingerprint_field(source: str) -> serializers.CharField:
    """Type and SHA-256 fingerprint of a host key; empty for none."""
    return serializers.CharField(source=source, read_only=True)


class FingerprintSerializer(serializers.Serializer[Any]):
    """The fingerprint that somebody has compared, with or without the type in front."""

    fingerprint = serializers.CharField(max_length=150)


class HostKeyOwnerViewSet(ResourceViewSet[_Owner]):
    """What devices, jump hosts and Git remotes have in common."""

    @extend_schema(request=FingerprintSerializer)
    @action(
        detail=True,
        methods=["post"],
        url_path="accept-host-key",
        permission_classes=[MayChangeModel],
    )
    def accept_host_key(self, request: Request, pk: str | None = None) -> Response:
        """Accept the host key that was refused, if it is the one with this fingerprint."""
        owner = self.get_object()
        given = FingerprintSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        try:
            owner = host_key_accept(
                owner=owner,
                fingerprint=given.validated_data["fingerprint"],
                changed_by=request.user.get_username(),
            )
        except HostKeyNotAccepted as error:
            raise exceptions.ValidationError({"fingerprint": [str(error)]}) from error
        return Response(self.get_serializer(owner).data)
