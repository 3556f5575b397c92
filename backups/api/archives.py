"""Raw copies, binary artefacts and restore packs in the API: bytes only for a reason."""

from __future__ import annotations

from typing import IO, Any

from django.conf import settings
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions, serializers, status, viewsets
from rest_framework.generics import get_object_or_404
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from backups.api.downloads import download, raw_file_name
from backups.api.suspects import NotReadable
from backups.engine.errors import DeviceError
from backups.models import Archive, Snapshot
from backups.selectors.archives import archive_newest
from backups.services.archives import archive_read
from backups.services.artefacts import DEFAULT_MEDIA_TYPE, artefact_store
from backups.services.restore_pack import RawNotKept, restore_pack
from common.api.filters import Filters, filters, lookups
from common.api.permissions import HasPermission
from common.callers import client_address
from credentials.cipher import CipherError
from inventory.scoped import OfVisibleDevices
from inventory.visibility import devices_visible_to, of_visible_devices


class MayReadRaw(HasPermission):
    """Users with the right to read raw configurations; being staff is none."""

    permission = "backups.read_raw_archive"
    message = "You may not read raw configurations; ask for the role raw-reader."


class MayAddArtefacts(HasPermission):
    """Users with the right to add binary artefacts."""

    permission = "backups.add_artefact"
    message = "You may not add artefacts; ask for the operator role."


class RawNegotiation(DefaultContentNegotiation):
    """Whatever the client accepts: the bytes are what they are, and errors are JSON."""

    def select_renderer(self, request: Any, renderers: Any, format_suffix: Any = None) -> Any:
        return renderers[0], renderers[0].media_type


class RawBodyParser(BaseParser):
    """The body as it is, up to the largest size of an artefact and one byte."""

    media_type = "*/*"

    def parse(
        self, stream: IO[Any], media_type: Any = None, parser_context: Any = None
    ) -> dict[str, bytes]:
        return {"payload": stream.read(settings.NETRAVEN.max_artefact_bytes + 1)}


class ReasonSerializer(serializers.Serializer[Any]):
    """Why raw bytes are read; kept with the name of the user."""

    reason = serializers.CharField(max_length=500)


class ArchiveSerializer(serializers.ModelSerializer[Archive]):
    """What there is of a raw copy; never what is in it."""

    hostname = serializers.CharField(source="device.hostname", read_only=True)

    class Meta:
        model = Archive
        fields = [
            "id",
            "device",
            "hostname",
            "snapshot",
            "name",
            "media_type",
            "size_bytes",
            "key_id",
            "run_id",
            "collected_at",
        ]
        read_only_fields = fields


class ArchiveFilter(Filters):
    """By every column."""

    hostname = filters.CharFilter("device__hostname", lookup_expr="icontains")

    class Meta:
        model = Archive
        fields = {
            **lookups(Archive, "id", "device", "snapshot", "name", "media_type", "size_bytes"),
            **lookups(Archive, "key_id", "run_id", "collected_at"),
            "device__hostname": ["exact"],
        }


class ArchiveViewSet(OfVisibleDevices, viewsets.ReadOnlyModelViewSet[Archive]):
    """Raw copies and binary artefacts, newest first; their bytes are read elsewhere."""

    queryset = Archive.objects.select_related("device").defer("sealed")
    serializer_class = ArchiveSerializer
    filterset_class = ArchiveFilter
    search_fields = ["device__hostname", "name"]
    ordering_fields = ["id", "device__hostname", "name", "collected_at", "size_bytes", "key_id"]


class RawView(APIView):
    """What the views that hand out bytes have in common."""

    permission_classes = [IsAuthenticated, MayReadRaw]
    content_negotiation_class = RawNegotiation

    def reading(self, request: Request) -> dict[str, Any]:
        """Who reads, why and from where, as it is recorded. Raises ValidationError: no reason."""
        asked = ReasonSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        return {
            "reader": request.user.get_username(),
            "reason": asked.validated_data["reason"],
            "address": client_address(request),
        }


def _snapshot(request: Request, pk: int) -> Snapshot:
    snapshots = Snapshot.objects.select_related("device")
    return get_object_or_404(of_visible_devices(queryset=snapshots, user=request.user), pk=pk)


def raw_download(archive: Archive, **reading: Any) -> HttpResponse:
    """The bytes of ``archive`` as a download; the reading is recorded before."""
    try:
        raw = archive_read(archive=archive, **reading)
    except CipherError as error:
        raise NotReadable(str(error)) from error
    return download(raw, file_name=raw_file_name(archive), media_type=archive.media_type)


#: Text for a configuration; an artefact has the media type that it came with.
_BYTES = {(200, "*/*"): OpenApiTypes.BINARY}


class ArchiveRawView(RawView):
    """The bytes of one raw copy or artefact."""

    @extend_schema(request=ReasonSerializer, responses=_BYTES)
    def post(self, request: Request, pk: int) -> HttpResponse:
        """The bytes as the device gave them."""
        reading = self.reading(request)
        archives = Archive.objects.select_related("device")
        archive = get_object_or_404(of_visible_devices(queryset=archives, user=request.user), pk=pk)
        return raw_download(archive, **reading)


class SnapshotRawView(RawView):
    """The bytes behind one stored revision."""

    @extend_schema(request=ReasonSerializer, responses=_BYTES)
    def post(self, request: Request, pk: int) -> HttpResponse:
        """The running-config as the device printed it; 404 when the raw copy is not kept."""
        reading = self.reading(request)
        snapshot = _snapshot(request, pk)
        archive = archive_newest(snapshot=snapshot)
        if archive is None:
            raise exceptions.NotFound("The raw copy of this revision is not kept.")
        return raw_download(archive, **reading)


class SnapshotRestorePackView(RawView):
    """The restore pack of one stored revision."""

    @extend_schema(
        request=ReasonSerializer, responses={(200, "application/zip"): OpenApiTypes.BINARY}
    )
    def post(self, request: Request, pk: int) -> HttpResponse:
        """A zip with raw and redacted configuration, artefacts, facts and steps."""
        reading = self.reading(request)
        snapshot = _snapshot(request, pk)
        try:
            pack = restore_pack(snapshot=snapshot, **reading)
        except RawNotKept as error:
            raise exceptions.NotFound(str(error)) from error
        except (CipherError, DeviceError) as error:
            raise NotReadable(str(error)) from error
        return download(pack.payload, file_name=pack.file_name, media_type="application/zip")


class DeviceArtefactsView(APIView):
    """Takes binary artefacts of one device."""

    permission_classes = [IsAuthenticated, MayAddArtefacts]
    parser_classes = [RawBodyParser]

    @extend_schema(
        request={DEFAULT_MEDIA_TYPE: OpenApiTypes.BINARY},
        parameters=[OpenApiParameter("name", str, required=True)],
        responses={200: ArchiveSerializer, 201: ArchiveSerializer},
    )
    def post(self, request: Request, pk: int) -> Response:
        """Store the body as the file ``name``; 200 when these bytes are stored already."""
        artefact, is_new = artefact_store(
            device=get_object_or_404(devices_visible_to(user=request.user), pk=pk),
            name=request.query_params.get("name", ""),
            # An empty body is not parsed.
            payload=request.data.get("payload", b"") if isinstance(request.data, dict) else b"",
            media_type=(request.content_type or "").partition(";")[0].strip() or DEFAULT_MEDIA_TYPE,
        )
        code = status.HTTP_201_CREATED if is_new else status.HTTP_200_OK
        return Response(ArchiveSerializer(artefact).data, status=code)
