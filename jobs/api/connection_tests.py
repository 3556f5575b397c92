"""Connection tests in the API."""

from __future__ import annotations

from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions, generics, serializers
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from backups.engine.collector import LogInStep
from backups.engine.netmiko_collector.probe import StepOutcome
from inventory.models import Device
from inventory.scoped import OfVisibleDevices
from jobs.zone_tests import connection_test_from_its_zone


class StepSerializer(serializers.Serializer[Any]):
    """One step of a log-in."""

    step = serializers.ChoiceField(choices=[step.value for step in LogInStep])
    outcome = serializers.ChoiceField(choices=[outcome.value for outcome in StepOutcome])
    seconds = serializers.FloatField(allow_null=True)


class ConnectionTestSerializer(serializers.Serializer[Any]):
    """How far a session with a device got."""

    hostname = serializers.CharField()
    passed = serializers.BooleanField()
    credential = serializers.CharField(allow_null=True, help_text="Name of the one that was used.")
    steps = StepSerializer(many=True)
    error_category = serializers.CharField(allow_null=True)
    error_message = serializers.CharField(allow_null=True)


class DeviceConnectionTestView(OfVisibleDevices, generics.GenericAPIView[Device]):
    """Whether a device can be logged in to, step by step."""

    device_path = "pk"
    queryset = Device.objects.select_related("zone")
    serializer_class = ConnectionTestSerializer
    permission_classes = [IsAuthenticated]

    @extend_schema(request=None, responses={200: ConnectionTestSerializer})
    def post(self, request: Request, pk: int) -> Response:
        """Log in to the device and out again; stores nothing.

        A worker of the device's zone does it; for a device without a zone the web server itself.
        Takes 35 seconds at the most.
        """
        if not request.user.has_perms(["inventory.view_device", "jobs.run_job"]):
            raise exceptions.PermissionDenied(
                "You may not test connections; ask for the operator role."
            )
        device = get_object_or_404(self.get_queryset(), pk=pk)
        test = connection_test_from_its_zone(device=device)
        return Response(ConnectionTestSerializer(test).data)
