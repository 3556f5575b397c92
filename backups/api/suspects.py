"""Suspect outputs in the API."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework import exceptions, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from backups.engine.errors import DeviceError
from backups.models import Suspect
from backups.services.suspects import (
    SuspectNotAccepted,
    suspect_accept,
    suspect_dismiss,
    suspect_text,
)
from common.api.errors import Conflict
from common.api.filters import Filters, filters, lookups, named
from common.api.permissions import HasPermission
from credentials.cipher import CipherError
from inventory.scoped import OfVisibleDevices


class NotReadable(exceptions.APIException):
    """The archive cannot be opened or redacted, for a reason of the installation."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "not_readable"


class MayAcceptSuspects(HasPermission):
    """Users with the right to accept outputs that were not trusted."""

    permission = "backups.accept_suspect"
    message = "You may not accept suspect outputs; ask for the operator role."


class SuspectSerializer(serializers.ModelSerializer[Suspect]):
    """An output that was not trusted, and what became of it."""

    hostname = serializers.CharField(source="device.hostname", read_only=True)
    reasons = serializers.ListField(child=serializers.CharField(), read_only=True)
    commit = serializers.CharField(source="snapshot.commit", default="", read_only=True)

    class Meta:
        model = Suspect
        fields = [
            "id",
            "device",
            "hostname",
            "state",
            "reasons",
            "run_id",
            "collected_at",
            "accepted_by",
            "dismissed_by",
            "decided_at",
            "snapshot",
            "commit",
        ]
        read_only_fields = fields


class SuspectTextSerializer(serializers.Serializer[Suspect]):
    """The redacted text of a suspect output."""

    id = serializers.IntegerField()
    hostname = serializers.CharField()
    text = serializers.CharField()


class SuspectFilter(Filters):
    """By every column; ``reasons`` is a part of one of them."""

    hostname = filters.CharFilter("device__hostname", lookup_expr="icontains")
    reasons = filters.CharFilter("reasons", lookup_expr="icontains")
    commit = named("snapshot__commit")

    class Meta:
        model = Suspect
        fields = {
            **lookups(Suspect, "id", "device", "state", "run_id", "collected_at"),
            **lookups(Suspect, "accepted_by", "dismissed_by", "decided_at", "snapshot"),
            "device__hostname": ["exact"],
        }


class SuspectViewSet(OfVisibleDevices, viewsets.ReadOnlyModelViewSet[Suspect]):
    """Outputs that were collected and not trusted; ``POST {id}/accept/`` stores one."""

    queryset = Suspect.objects.select_related("device", "snapshot")
    serializer_class = SuspectSerializer
    filterset_class = SuspectFilter
    search_fields = ["device__hostname"]
    ordering_fields = ["id", "device__hostname", "state", "run_id", "collected_at", "decided_at"]

    @extend_schema(responses={200: SuspectTextSerializer})
    @action(detail=True)
    def config(self, request: Request, pk: str | None = None) -> Response:
        """The text of the output, redacted."""
        suspect = self.get_object()
        try:
            text = suspect_text(suspect=suspect).text
        except SuspectNotAccepted as error:
            raise Conflict(str(error)) from error
        except (CipherError, DeviceError) as error:
            raise NotReadable(str(error)) from error
        return Response({"id": suspect.pk, "hostname": suspect.device.hostname, "text": text})

    @extend_schema(request=None, responses={200: SuspectSerializer})
    @action(detail=True, methods=["post"], permission_classes=[MayAcceptSuspects])
    def accept(self, request: Request, pk: str | None = None) -> Response:
        """Store the output as if it had been trusted; answers with the suspect."""
        suspect = self.get_object()
        try:
            suspect_accept(suspect=suspect, accepted_by=request.user.get_username())
        except SuspectNotAccepted as error:
            raise Conflict(str(error)) from error
        except (CipherError, DeviceError) as error:
            raise NotReadable(str(error)) from error
        return Response(SuspectSerializer(self.get_object()).data)

    @extend_schema(request=None, responses={200: SuspectSerializer})
    @action(detail=True, methods=["post"], permission_classes=[MayAcceptSuspects])
    def dismiss(self, request: Request, pk: str | None = None) -> Response:
        """Close the output without storing it; answers with the suspect."""
        suspect = self.get_object()
        try:
            suspect_dismiss(suspect=suspect, dismissed_by=request.user.get_username())
        except SuspectNotAccepted as error:
            raise Conflict(str(error)) from error
        return Response(SuspectSerializer(self.get_object()).data)
