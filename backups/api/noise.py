"""Lines that change by themselves, in the API."""

from __future__ import annotations

from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions, generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from backups.api.suspects import NotReadable
from backups.engine.errors import DeviceError
from backups.models import Snapshot
from backups.selectors.noise import MOST_REVISIONS, REVISIONS, noise_of_device, noise_row
from backups.selectors.snapshots import SnapshotNotFound
from inventory.platforms import UnknownPlatform
from inventory.visibility import devices_visible_to


class NoiseQuerySerializer(serializers.Serializer[Any]):
    """How many of the newest revisions are looked at."""

    revisions = serializers.IntegerField(default=REVISIONS, min_value=2, max_value=MOST_REVISIONS)


class NoiseSerializer(serializers.Serializer[Any]):
    """A line that changes by itself, and the rule that is proposed against it."""

    section = serializers.CharField()
    examples = serializers.ListField(child=serializers.CharField())
    share = serializers.FloatField()
    flips = serializers.IntegerField()
    hostnames = serializers.ListField(child=serializers.CharField())
    pattern = serializers.CharField(allow_null=True)
    treatment = serializers.CharField(allow_null=True)
    toml = serializers.CharField()
    reason = serializers.CharField()
    other_lines = serializers.ListField(child=serializers.CharField())
    revisions_saved = serializers.IntegerField()


class NoiseReportSerializer(serializers.Serializer[Any]):
    """What was looked at, and what was found."""

    platform = serializers.CharField()
    devices = serializers.IntegerField()
    revisions = serializers.IntegerField()
    reads = serializers.IntegerField()
    covered = serializers.IntegerField()
    is_cut = serializers.BooleanField()
    noise = NoiseSerializer(many=True)


class DeviceNoiseView(generics.GenericAPIView[Snapshot]):
    """Lines of a device that differ in most reads although nobody changed them."""

    queryset = Snapshot.objects.none()
    serializer_class = NoiseReportSerializer

    @extend_schema(parameters=[NoiseQuerySerializer])
    def get(self, request: Request, pk: int) -> Response:
        """The noise in the newest revisions, with a proposed rule for each line."""
        wanted = NoiseQuerySerializer(data=request.query_params)
        wanted.is_valid(raise_exception=True)
        device = get_object_or_404(devices_visible_to(user=request.user), pk=pk)
        try:
            report = noise_of_device(device=device, revisions=wanted.validated_data["revisions"])
        except SnapshotNotFound as error:
            raise exceptions.NotFound(str(error)) from error
        except UnknownPlatform as error:
            raise NotReadable(str(error)) from error
        except DeviceError as error:
            raise NotReadable(error.message) from error
        return Response(noise_row(report=report))
