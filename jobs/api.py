"""Jobs, runs and device results in the API."""

from __future__ import annotations

from typing import Any, cast

from django.contrib.auth.models import User
from django.db import transaction
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from credentials.api import TagNamesField
from credentials.services import tags_ensure
from inventory.models import Device
from inventory.selectors import DeviceNotFound, device_find
from jobs.choices import Trigger
from jobs.launch import JobDisabled, request_detection, request_run
from jobs.models import DeviceResult, Job, JobRun, PlatformDetection
from jobs.schedules import job_delete, job_save_scheduled
from jobs.services.detection import DetectionNotAccepted, detection_accept


class JobSerializer(serializers.ModelSerializer[Job]):
    """A saved definition: devices by tag, and when."""

    tags = TagNamesField(required=False)

    class Meta:
        model = Job
        fields = [
            "id",
            "name",
            "description",
            "is_enabled",
            "tags",
            "schedule_type",
            "interval_seconds",
            "cron",
            "run_at",
            "time_zone",
            "created_at",
            "updated_at",
        ]
        read_only_fields = ["created_at", "updated_at"]

    def create(self, validated_data: dict[str, Any]) -> Job:
        return self.update(Job(), validated_data)

    @transaction.atomic
    def update(self, instance: Job, validated_data: dict[str, Any]) -> Job:
        names = validated_data.pop("tags", None)
        tags = None if names is None else tags_ensure(names=names)
        for field, value in validated_data.items():
            setattr(instance, field, value)
        return job_save_scheduled(job=instance, tags=tags)


class JobRunSerializer(serializers.ModelSerializer[JobRun]):
    """One execution of a job, with the counts of its devices."""

    duration_seconds = serializers.FloatField(read_only=True, allow_null=True)
    requested_by: serializers.SlugRelatedField[User] = serializers.SlugRelatedField(
        slug_field="username", read_only=True
    )

    class Meta:
        model = JobRun
        fields = [
            "id",
            "job",
            "job_name",
            "status",
            "status_reason",
            "trigger",
            "requested_by",
            "created_at",
            "started_at",
            "finished_at",
            "duration_seconds",
            "total_count",
            "succeeded_count",
            "failed_count",
            "errored_count",
            "suspect_count",
            "skipped_count",
            "cancelled_count",
        ]
        read_only_fields = fields


class DeviceResultSerializer(serializers.ModelSerializer[DeviceResult]):
    """One device in one run."""

    commit = serializers.CharField(read_only=True)

    class Meta:
        model = DeviceResult
        fields = [
            "id",
            "run",
            "device",
            "hostname",
            "status",
            "config_changed",
            "error_category",
            "error_message",
            "attempts",
            "commit",
            "started_at",
            "finished_at",
            "duration_seconds",
        ]
        read_only_fields = fields


class PlatformDetectionSerializer(serializers.ModelSerializer[PlatformDetection]):
    """One attempt to find out what a device runs."""

    hostname = serializers.CharField(source="device.hostname", read_only=True)
    evidence = serializers.ListField(child=serializers.CharField(), read_only=True)
    facts = serializers.DictField(child=serializers.CharField(), read_only=True)
    requested_by: serializers.SlugRelatedField[User] = serializers.SlugRelatedField(
        slug_field="username", read_only=True
    )

    class Meta:
        model = PlatformDetection
        fields = [
            "id",
            "device",
            "hostname",
            "platform_before",
            "state",
            "certainty",
            "platform",
            "evidence",
            "facts",
            "error_category",
            "error_message",
            "requested_by",
            "requested_at",
            "started_at",
            "finished_at",
            "accepted_by",
            "accepted_at",
        ]
        read_only_fields = fields


class DetectionRequestSerializer(serializers.Serializer[Any]):
    """The device whose platform is wanted: its hostname, in any case, or its id."""

    device = serializers.CharField(max_length=255)

    def validate_device(self, value: str) -> Device:
        try:
            return device_find(hostname_or_id=value)
        except DeviceNotFound as error:
            raise serializers.ValidationError(str(error)) from error


class NotAccepted(exceptions.APIException):
    """The platform of a device stays as it is."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "conflict"


class MayChangeDevices(BasePermission):
    """Who may change devices may also ask what they are."""

    message = "You may not change devices; ask for the operator role."

    def has_permission(self, request: Request, view: APIView) -> bool:
        return request.user.has_perm("inventory.change_device")


class JobViewSet(viewsets.ModelViewSet[Job]):
    """The saved jobs; ``POST {id}/run/`` starts one."""

    queryset = Job.objects.prefetch_related("tags")
    serializer_class = JobSerializer
    filterset_fields = ["name", "is_enabled", "schedule_type", "tags__name"]
    search_fields = ["name", "description"]
    ordering_fields = ["id", "name", "updated_at"]

    def perform_destroy(self, instance: Job) -> None:
        job_delete(job=instance)

    @extend_schema(request=None, responses={202: JobRunSerializer})
    @action(detail=True, methods=["post"], permission_classes=[IsAuthenticated])
    def run(self, request: Request, pk: str | None = None) -> Response:
        """Start a run of the job now; answers 202 with the run."""
        if not request.user.has_perm("jobs.run_job"):
            raise exceptions.PermissionDenied("You may not run jobs; ask for the operator role.")
        try:
            run = request_run(
                job=self.get_object(), trigger=Trigger.API, requested_by=cast("User", request.user)
            )
        except JobDisabled as error:
            raise exceptions.ValidationError(str(error)) from error
        return Response(JobRunSerializer(run).data, status=status.HTTP_202_ACCEPTED)


class JobRunViewSet(viewsets.ReadOnlyModelViewSet[JobRun]):
    """The executions of jobs, newest first."""

    queryset = JobRun.objects.select_related("requested_by")
    serializer_class = JobRunSerializer
    filterset_fields = ["job", "status", "trigger"]
    search_fields = ["job_name"]
    ordering_fields = ["id", "created_at", "started_at", "finished_at"]


class DeviceResultViewSet(viewsets.ReadOnlyModelViewSet[DeviceResult]):
    """The devices of runs."""

    queryset = DeviceResult.objects.select_related("snapshot")
    serializer_class = DeviceResultSerializer
    filterset_fields = ["run", "device", "hostname", "status", "error_category", "config_changed"]
    search_fields = ["hostname", "error_message"]
    ordering_fields = ["id", "hostname", "started_at", "finished_at", "duration_seconds"]


class PlatformDetectionViewSet(viewsets.ReadOnlyModelViewSet[PlatformDetection]):
    """What devices seem to run, newest first; ``POST {id}/accept/`` takes the answer over."""

    queryset = PlatformDetection.objects.select_related("device", "requested_by")
    serializer_class = PlatformDetectionSerializer
    filterset_fields = ["device", "device__hostname", "state", "certainty"]
    search_fields = ["device__hostname", "platform"]
    ordering_fields = ["id", "requested_at", "finished_at"]

    def get_permissions(self) -> list[Any]:
        if self.action in {"create", "accept"}:
            return [MayChangeDevices()]
        return list(super().get_permissions())

    @extend_schema(request=DetectionRequestSerializer, responses={202: PlatformDetectionSerializer})
    def create(self, request: Request) -> Response:
        """Have a worker find out what a device runs; answers 202 with the detection."""
        wanted = DetectionRequestSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        detection = request_detection(
            device=wanted.validated_data["device"], requested_by=cast("User", request.user)
        )
        return Response(
            PlatformDetectionSerializer(detection).data, status=status.HTTP_202_ACCEPTED
        )

    @extend_schema(request=None, responses={200: PlatformDetectionSerializer})
    @action(detail=True, methods=["post"])
    def accept(self, request: Request, pk: str | None = None) -> Response:
        """Give the device the platform that was found; answers with the detection."""
        try:
            detection = detection_accept(
                detection=self.get_object(), accepted_by=request.user.get_username()
            )
        except DetectionNotAccepted as error:
            raise NotAccepted(str(error)) from error
        return Response(PlatformDetectionSerializer(detection).data)
