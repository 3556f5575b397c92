"""Stored revisions in the API: their list, texts and differences. All texts are redacted."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions, generics, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from backups.api.suspects import NotReadable
from backups.engine.diff.errors import NoSemanticDiff
from backups.engine.diff.side_by_side import RowKind
from backups.engine.errors import DeviceError
from backups.models import Snapshot, SnapshotState
from backups.selectors.diffs import CONTEXT, Comparison, compare
from backups.selectors.snapshots import (
    SnapshotNotFound,
    revisions_to_compare,
    snapshot_get,
    snapshot_text,
    snapshots_of,
)
from common.api.filters import Filters, filters, lookups
from inventory.models import Device
from inventory.scoped import OfVisibleDevices
from inventory.visibility import devices_visible_to

#: Rows of a side-by-side answer; ``is_cut`` tells that there were more.
MOST_ROWS = 20_000
#: More equal lines than any configuration has.
_MOST_CONTEXT = 1_000_000
_MODES = ("unified", "side_by_side", "semantic")


class SnapshotSerializer(serializers.ModelSerializer[Snapshot]):
    """A stored revision without its text."""

    hostname = serializers.CharField(source="device.hostname", read_only=True)

    class Meta:
        model = Snapshot
        fields = [
            "id",
            "device",
            "hostname",
            "state",
            "commit",
            "path",
            "size_bytes",
            "line_count",
            "lines_added",
            "lines_removed",
            "change_digest",
            "run_id",
            "job_name",
            "collected_at",
            "read_count",
            "last_read_at",
            "changed_by",
            "changed_at_text",
            "imported_from",
        ]
        read_only_fields = fields


class SnapshotTextSerializer(serializers.Serializer[Any]):
    """The redacted text of a revision."""

    id = serializers.IntegerField()
    device = serializers.IntegerField(source="device_id")
    hostname = serializers.CharField(source="device.hostname")
    commit = serializers.CharField()
    collected_at = serializers.DateTimeField()
    text = serializers.CharField()


class SnapshotFilter(Filters):
    """Filters of the list of revisions; hostnames and tags in any case."""

    device__hostname = filters.CharFilter(lookup_expr="iexact")
    hostname = filters.CharFilter("device__hostname", lookup_expr="icontains")
    tag = filters.CharFilter("device__tags__name", lookup_expr="iexact")
    platform = filters.CharFilter("device__platform")
    zone = filters.CharFilter("device__zone__name")
    state = filters.ChoiceFilter(choices=SnapshotState.choices)
    #: Collected at this time or later, and before that time.
    since = filters.IsoDateTimeFilter("collected_at", lookup_expr="gte")
    until = filters.IsoDateTimeFilter("collected_at", lookup_expr="lt")

    class Meta:
        model = Snapshot
        fields = {
            **lookups(Snapshot, "id", "device", "run_id", "job_name", "changed_by"),
            **lookups(Snapshot, "change_digest", "commit", "path", "size_bytes", "line_count"),
            **lookups(Snapshot, "lines_added", "lines_removed", "collected_at", "read_count"),
            **lookups(Snapshot, "last_read_at", "changed_at_text", "imported_from"),
        }


class RevisionQuerySerializer(serializers.Serializer[Any]):
    """Which revision: the first digits of its commit, or ``id:NUMBER``; the newest if none."""

    revision = serializers.CharField(required=False)


class DiffQuerySerializer(serializers.Serializer[Any]):
    """What is compared, and how the answer looks."""

    to = serializers.CharField(required=False)
    other_device = serializers.IntegerField(required=False, min_value=1, max_value=2**63 - 1)
    mode = serializers.ChoiceField(choices=_MODES, default="unified")
    all_lines = serializers.BooleanField(
        default=False, help_text="Also lines that change by themselves."
    )

    def get_fields(self) -> dict[str, Any]:
        """With those whose names are taken: ``from`` by Python, ``context`` by serializers."""
        context = serializers.IntegerField(
            default=CONTEXT, min_value=0, max_value=_MOST_CONTEXT, help_text="Equal lines around."
        )
        revision = serializers.CharField(required=False)
        return {"from": revision, **super().get_fields(), "context": context}


class RowSerializer(serializers.Serializer[Any]):
    """A row of both texts; marks are ``[start, end]`` in code points, numbers count from 1."""

    kind = serializers.ChoiceField(choices=[kind.value for kind in RowKind])
    old_no = serializers.IntegerField(allow_null=True)
    new_no = serializers.IntegerField(allow_null=True)
    old = serializers.CharField()
    new = serializers.CharField()
    old_marks = serializers.ListField(child=serializers.ListField(child=serializers.IntegerField()))
    new_marks = serializers.ListField(child=serializers.ListField(child=serializers.IntegerField()))
    count = serializers.IntegerField()


class DiffSerializer(serializers.Serializer[Any]):
    """A difference: ``diff`` as text, or ``rows`` of both texts with the mode side_by_side."""

    mode = serializers.ChoiceField(choices=_MODES)
    old = SnapshotSerializer()
    new = SnapshotSerializer()
    diff = serializers.CharField(required=False)
    rows = RowSerializer(many=True, required=False)
    is_cut = serializers.BooleanField(required=False)


class SnapshotViewSet(OfVisibleDevices, viewsets.ReadOnlyModelViewSet[Snapshot]):
    """The stored revisions, newest first; ``{id}/config/`` and ``{id}/download/`` are the text."""

    queryset = Snapshot.objects.select_related("device").defer("pending_text")
    serializer_class = SnapshotSerializer
    filterset_class = SnapshotFilter
    search_fields = ["device__hostname", "job_name", "changed_by"]
    ordering_fields = [
        *("id", "device__hostname", "state", "collected_at", "last_read_at", "read_count"),
        *("size_bytes", "line_count", "lines_added", "lines_removed", "run_id", "job_name"),
        "changed_by",
    ]

    @extend_schema(responses={200: SnapshotTextSerializer})
    @action(detail=True)
    def config(self, request: Request, pk: str | None = None) -> Response:
        """The text of the revision."""
        return _text_response(self.get_object())

    @extend_schema(responses={(200, "text/plain"): OpenApiTypes.STR})
    @action(detail=True)
    def download(self, request: Request, pk: str | None = None) -> HttpResponse:
        """The text of the revision as a plain file."""
        snapshot = self.get_object()
        answer = HttpResponse(_text(snapshot), content_type="text/plain; charset=utf-8")
        name = snapshot.path.partition("/")[2] or f"{snapshot.pk}.cfg"
        answer["Content-Disposition"] = f'attachment; filename="{name}"'
        return answer


class _OfDevice(generics.GenericAPIView[Snapshot]):
    """What is asked about the revisions of one device, with the permission to see them."""

    queryset = Snapshot.objects.none()

    def device(self) -> Device:
        """The device of the address. Raises 404."""
        return get_object_or_404(devices_visible_to(user=self.request.user), pk=self.kwargs["pk"])


class DeviceConfigView(_OfDevice):
    """The text of a revision of a device, the newest by default."""

    serializer_class = SnapshotTextSerializer

    @extend_schema(parameters=[RevisionQuerySerializer])
    def get(self, request: Request, pk: int) -> Response:
        """The redacted text of ``?revision=``."""
        wanted = RevisionQuerySerializer(data=request.query_params)
        wanted.is_valid(raise_exception=True)
        try:
            snapshot = snapshot_get(
                device=self.device(), revision=wanted.validated_data.get("revision")
            )
        except SnapshotNotFound as error:
            raise exceptions.NotFound(str(error)) from error
        return _text_response(snapshot)


class DeviceDiffView(_OfDevice):
    """What differs between two revisions of a device, or between two devices."""

    serializer_class = DiffSerializer

    @extend_schema(parameters=[DiffQuerySerializer])
    def get(self, request: Request, pk: int) -> Response:
        """``?from=`` to ``?to=``; by default the newest revision against the one before."""
        query = DiffQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        wanted = query.validated_data
        device, other = self.device(), None
        if "other_device" in wanted:
            visible = devices_visible_to(user=request.user)
            other = get_object_or_404(visible, pk=wanted["other_device"])
        try:
            old, new = revisions_to_compare(
                device=device, old=wanted.get("from"), new=wanted.get("to"), other=other
            )
            comparison = compare(old=old, new=new, ignore_volatile=not wanted["all_lines"])
            content = _content(comparison, wanted["mode"], wanted["context"])
        except SnapshotNotFound as error:
            raise exceptions.NotFound(str(error)) from error
        except NoSemanticDiff as error:
            raise exceptions.ValidationError({"mode": [str(error)]}) from error
        except DeviceError as error:
            raise NotReadable(error.message) from error
        return Response(
            {
                "mode": wanted["mode"],
                "old": SnapshotSerializer(old).data,
                "new": SnapshotSerializer(new).data,
            }
            | content
        )


class DeviceHistoryView(generics.ListAPIView[Snapshot], _OfDevice):
    """The revisions of a device, newest first."""

    serializer_class = SnapshotSerializer
    filter_backends: list[Any] = []

    def get_queryset(self) -> QuerySet[Snapshot]:
        """Only of the device of the address."""
        if getattr(self, "swagger_fake_view", False):  # the schema is made without an address
            return Snapshot.objects.none()
        return snapshots_of(device=self.device()).defer("pending_text")


def _text(snapshot: Snapshot) -> str:
    try:
        return snapshot_text(snapshot=snapshot)
    except SnapshotNotFound as error:
        raise exceptions.NotFound(str(error)) from error
    except DeviceError as error:
        raise NotReadable(error.message) from error


def _text_response(snapshot: Snapshot) -> Response:
    return Response(
        {
            "id": snapshot.pk,
            "device": snapshot.device_id,
            "hostname": snapshot.device.hostname,
            "commit": snapshot.commit,
            "collected_at": snapshot.collected_at,
            "text": _text(snapshot),
        }
    )


def _content(comparison: Comparison, mode: str, context: int) -> dict[str, Any]:
    if mode == "semantic":
        return {"diff": comparison.semantic()}
    if mode == "unified":
        return {"diff": comparison.unified(context=context)}
    rows = comparison.rows(context=context, limit=MOST_ROWS + 1)
    return {"rows": [asdict(row) for row in rows[:MOST_ROWS]], "is_cut": len(rows) > MOST_ROWS}
