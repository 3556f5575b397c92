"""Other systems tell of changes."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from inventory.models import Device
from inventory.visibility import devices_visible_to
from jobs.api.runs import MayRunJobs
from jobs.models import ChangeNotice
from jobs.services.notices import Notice, notices_add


class TriggerSerializer(serializers.Serializer[Any]):
    """Which device was changed: its hostname or its address; and by whom, if that is known."""

    hostname = serializers.CharField(max_length=255, required=False)
    ip_address = serializers.CharField(max_length=255, required=False)
    changed_by = serializers.CharField(
        max_length=100,
        required=False,
        allow_blank=True,
        help_text="Becomes the author of the commit where the device itself names nobody.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """One of the two names the device."""
        if ("hostname" in attrs) == ("ip_address" in attrs):
            raise serializers.ValidationError("Give either hostname or ip_address.")
        return attrs


class TriggeredSerializer(serializers.ModelSerializer[ChangeNotice]):
    """What becomes of it; ``due_at`` is null where the change was NetRaven's own."""

    hostname = serializers.CharField(source="device.hostname")

    class Meta:
        model = ChangeNotice
        fields = ["device", "hostname", "due_at"]


class TriggerView(generics.GenericAPIView[ChangeNotice]):
    """Tell that a device was changed; it is backed up within seconds, once for all that is told."""

    queryset = ChangeNotice.objects.none()
    permission_classes = [MayRunJobs]
    serializer_class = TriggerSerializer

    @extend_schema(request=TriggerSerializer, responses={202: TriggeredSerializer})
    def post(self, request: Request) -> Response:
        """Answers 202 with the device and when its backup is due."""
        told = TriggerSerializer(data=request.data)
        told.is_valid(raise_exception=True)
        device = self._device(told.validated_data)
        notice = Notice(
            device_id=device.pk,
            changed_by=told.validated_data.get("changed_by", ""),
            told_by=request.user.get_username(),
        )
        notices_add(notices=[notice])
        found = ChangeNotice.objects.filter(device=device).first()
        answer = {
            "device": device.pk,
            "hostname": device.hostname,
            "due_at": found.due_at if found else None,
        }
        return Response(answer, status=status.HTTP_202_ACCEPTED)

    def _device(self, told: dict[str, Any]) -> Device:
        """The one active device that the caller sees and means."""
        seen: QuerySet[Device] = devices_visible_to(user=self.request.user).filter(is_active=True)
        if "hostname" in told:
            name, found = "hostname", seen.filter(hostname__iexact=told["hostname"])
        else:
            name, found = "ip_address", seen.filter(ip_address=told["ip_address"])
        devices = list(found[:2])
        if len(devices) != 1:
            how = "no active device" if not devices else "more than one active device"
            raise serializers.ValidationError({name: f"There is {how} {told[name]!r}."})
        return devices[0]
