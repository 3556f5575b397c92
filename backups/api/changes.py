"""What changed in the fleet, in the API."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions, generics, serializers
from rest_framework.generics import get_object_or_404
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from backups.api.snapshots import SnapshotSerializer
from backups.api.suspects import NotReadable
from backups.engine.errors import DeviceError
from backups.models import ChangeAcknowledgement, Snapshot
from backups.selectors.changes import (
    RECENT,
    ChangeKind,
    ChangeQuery,
    FleetChange,
    change_groups,
    change_snapshots,
    fleet_changes,
)
from backups.selectors.snapshots import SnapshotNotFound
from backups.services.acknowledgements import NothingToAcknowledge, change_acknowledge
from common.api.errors import Conflict
from common.api.permissions import HasPermission
from inventory.visibility import of_visible_devices, scope_of


def _id_field() -> serializers.IntegerField:
    return serializers.IntegerField(required=False, min_value=1, max_value=2**63 - 1)


class ChangeQuerySerializer(serializers.Serializer[Any]):
    """Which changes; counts and devices are those that the filters let through."""

    kind = serializers.ChoiceField(
        choices=[kind.value for kind in ChangeKind], default=ChangeKind.CHANGE.value
    )
    run = _id_field()
    since = serializers.DateTimeField(required=False)
    until = serializers.DateTimeField(required=False)
    tag = serializers.CharField(required=False)
    device = _id_field()
    hostname = serializers.CharField(required=False)
    author = serializers.CharField(required=False)
    acknowledged = serializers.BooleanField(required=False, allow_null=True, default=None)
    min_devices = serializers.IntegerField(default=1, min_value=1, max_value=1_000_000)

    def query(self) -> ChangeQuery:
        """The validated filters; the last seven days where no run and no time is named."""
        given = self.validated_data
        since = given.get("since")
        if since is None and "run" not in given:
            since = timezone.now() - RECENT
        return ChangeQuery(
            kind=ChangeKind(given["kind"]),
            since=since,
            until=given.get("until"),
            run_id=given.get("run"),
            device_id=given.get("device"),
            hostname=given.get("hostname"),
            tag=given.get("tag"),
            author=given.get("author"),
            acknowledged=given["acknowledged"],
            min_devices=given["min_devices"],
            scope=scope_of(user=self.context["request"].user),
        )


class ChangeListQuerySerializer(ChangeQuerySerializer):
    """Which changes, and whether with their diffs."""

    diff = serializers.BooleanField(default=True)


class ChangeDevicesQuerySerializer(ChangeQuerySerializer):
    """Which change: ``digest`` as the list of changes names it."""

    digest = serializers.CharField(allow_blank=True, max_length=64)


class ChangedDeviceSerializer(serializers.Serializer[Any]):
    """A device that has the change, and the revision that brought it."""

    device = serializers.IntegerField()
    hostname = serializers.CharField()
    snapshot = serializers.IntegerField()
    commit = serializers.CharField()


class AcknowledgementSerializer(serializers.ModelSerializer[ChangeAcknowledgement]):
    """Who took note of a change, when, and with which words."""

    class Meta:
        model = ChangeAcknowledgement
        fields = ["id", "acknowledged_by", "acknowledged_at", "note", "ticket", "device_count"]
        read_only_fields = fields


class AcknowledgeSerializer(serializers.Serializer[Any]):
    """The change of which revision is acknowledged, and with which words; one of them is needed."""

    snapshot = serializers.IntegerField(min_value=1, max_value=2**63 - 1)
    note = serializers.CharField(default="", allow_blank=True, max_length=500)
    ticket = serializers.CharField(default="", allow_blank=True, max_length=100)


class ChangeSerializer(serializers.Serializer[Any]):
    """The same change on one or more devices in one run."""

    kind = serializers.ChoiceField(choices=[kind.value for kind in ChangeKind])
    run_id = serializers.IntegerField(allow_null=True)
    job_name = serializers.CharField()
    collected_at = serializers.DateTimeField()
    change_digest = serializers.CharField()
    device_count = serializers.IntegerField()
    acknowledged_count = serializers.IntegerField()
    #: Of the revision that stands for all.
    acknowledgement = AcknowledgementSerializer(allow_null=True)
    devices = ChangedDeviceSerializer(many=True)
    lines_added = serializers.IntegerField()
    lines_removed = serializers.IntegerField()
    sample_snapshot = serializers.IntegerField()
    diff = serializers.CharField()
    is_diff_cut = serializers.BooleanField()


class ChangeListView(generics.GenericAPIView[Snapshot]):
    """What changed in the fleet: equal changes of a run as one entry, the newest first."""

    queryset = Snapshot.objects.none()
    serializer_class = ChangeSerializer
    filter_backends: list[Any] = []

    @extend_schema(
        parameters=[ChangeListQuerySerializer], responses={200: ChangeSerializer(many=True)}
    )
    def get(self, request: Request) -> Response:
        """Changes, or with ``?kind=first`` the devices that were stored for the first time."""
        wanted = ChangeListQuerySerializer(data=request.query_params, context={"request": request})
        wanted.is_valid(raise_exception=True)
        query = wanted.query()
        groups = self.paginate_queryset(change_groups(query=query)) or []
        try:
            changes = fleet_changes(
                query=query, groups=groups, with_diff=wanted.validated_data["diff"]
            )
        except SnapshotNotFound as error:
            raise exceptions.NotFound(str(error)) from error
        except DeviceError as error:
            raise NotReadable(error.message) from error
        return self.get_paginated_response([_row(query, change) for change in changes])


class MayAcknowledge(HasPermission):
    """Users with the right to take note of changes."""

    permission = "backups.acknowledge_change"
    message = "You may not acknowledge changes; ask for the operator role."


class ChangeAcknowledgeView(APIView):
    """Takes note of a change."""

    permission_classes = [IsAuthenticated, MayAcknowledge]

    @extend_schema(request=AcknowledgeSerializer, responses={201: AcknowledgementSerializer})
    def post(self, request: Request) -> Response:
        """Acknowledge the change of a revision on all devices that got the same one in its run."""
        wanted = AcknowledgeSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        values = wanted.validated_data
        snapshots = Snapshot.objects.select_related("device")
        visible = of_visible_devices(queryset=snapshots, user=request.user)
        try:
            acknowledgement = change_acknowledge(
                snapshot=get_object_or_404(visible, pk=values["snapshot"]),
                acknowledged_by=request.user.get_username(),
                note=values["note"],
                ticket=values["ticket"],
                scope=scope_of(user=request.user),
            )
        except NothingToAcknowledge as error:
            raise Conflict(str(error)) from error
        return Response(AcknowledgementSerializer(acknowledgement).data, status=201)


class ChangeDevicesView(generics.ListAPIView[Snapshot]):
    """The revisions that made one change, by hostname."""

    queryset = Snapshot.objects.none()
    serializer_class = SnapshotSerializer
    filter_backends: list[Any] = []

    @extend_schema(parameters=[ChangeDevicesQuerySerializer])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Those of ``?run=`` with ``?digest=``."""
        return self.list(request, *args, **kwargs)

    def get_queryset(self) -> QuerySet[Snapshot]:
        """Only those that the address asks for."""
        if getattr(self, "swagger_fake_view", False):  # the schema is made without an address
            return Snapshot.objects.none()
        wanted = ChangeDevicesQuerySerializer(
            data=self.request.query_params, context={"request": self.request}
        )
        wanted.is_valid(raise_exception=True)
        digest = wanted.validated_data["digest"]
        return change_snapshots(query=wanted.query(), change_digest=digest)


def _row(query: ChangeQuery, change: FleetChange) -> dict[str, Any]:
    group = change.group
    return {
        "kind": query.kind,
        "run_id": group["run_id"],
        "job_name": group["job_name"],
        "collected_at": group["newest_at"],
        "change_digest": group["change_digest"],
        "device_count": group["device_count"],
        "acknowledged_count": group["acknowledged_count"],
        "acknowledgement": _acknowledgement(query, change),
        "devices": [
            {
                "device": snapshot.device_id,
                "hostname": snapshot.device.hostname,
                "snapshot": snapshot.pk,
                "commit": snapshot.commit,
            }
            for snapshot in change.snapshots
        ],
        "lines_added": group["added"],
        "lines_removed": group["removed"],
        "sample_snapshot": change.sample.pk,
        "diff": change.diff,
        "is_diff_cut": change.is_diff_cut,
    }


def _acknowledgement(query: ChangeQuery, change: FleetChange) -> dict[str, Any] | None:
    """Who took note of the change; for a limited user with the number of devices that they see."""
    acknowledgement = change.sample.acknowledgement
    if acknowledgement is None:
        return None
    shown = AcknowledgementSerializer(acknowledgement).data
    if query.scope is None:
        return shown
    seen = change.group["acknowledged_count"]
    return shown | {"device_count": min(seen, acknowledgement.device_count)}
