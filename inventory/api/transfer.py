"""Devices from a file and into one, over the API."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import asdict
from typing import IO, Any, Final

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions, generics, serializers, status
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.api.parsers import BoundedJsonParser
from credentials.api.fields import TagNamesField
from inventory.api.devices import DeviceViewSet
from inventory.exports import ExportFormat, devices_export
from inventory.imports import (
    MAX_IMPORT_BYTES,
    MAX_IMPORT_DEVICES,
    ImportFailed,
    ImportFormat,
    ImportOptions,
    file_import,
)
from inventory.models import Device
from inventory.scoped import OfVisibleDevices
from inventory.visibility import is_limited

#: Lines of an answer that name what is wrong.
_MAX_PROBLEMS = 200


#: Name and media type by what is exported.
_FILES: Final = {
    ExportFormat.CSV: ("devices.csv", "text/csv"),
    ExportFormat.JSON: ("devices.json", "application/json"),
    ExportFormat.ANSIBLE: ("inventory.yml", "application/yaml"),
}


class TooLarge(exceptions.APIException):
    """The request is longer than it may be."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "too_large"
    default_detail = (
        f"An import takes {MAX_IMPORT_BYTES // 1024 // 1024} MB at most; "
        "send the devices in parts, or use 'manage.py import_devices'."
    )


class BoundedImportParser(BoundedJsonParser):
    """JSON up to the largest size of an import."""

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        body: bytes = stream.read(MAX_IMPORT_BYTES + 1)
        if len(body) > MAX_IMPORT_BYTES:
            raise TooLarge
        return super().parse(io.BytesIO(body), media_type, parser_context)


class MayImport(BasePermission):
    """Users who may both make and change devices."""

    message = "You may not import devices; ask for the operator role."

    def has_permission(self, request: Request, view: APIView) -> bool:
        return request.user.has_perms(["inventory.add_device", "inventory.change_device"])


def _text(help_text: str) -> serializers.CharField:
    return serializers.CharField(
        required=False, allow_null=True, trim_whitespace=False, write_only=True, help_text=help_text
    )


class ImportSerializer(serializers.Serializer[Any]):
    """A file and what stands beside it."""

    format = serializers.ChoiceField(
        choices=[one.value for one in ImportFormat], default=ImportFormat.CSV.value
    )
    content = serializers.CharField(
        trim_whitespace=False, write_only=True, help_text="The text of the file."
    )
    dry_run = serializers.BooleanField(default=False, help_text="Check the file, change nothing.")
    tags = TagNamesField(required=False, help_text="Tags that each device gets as well.")
    mapping = _text("Oxidized: its configuration, or the part 'source: csv:' of it.")
    cloginrc = _text("RANCID: the text of .cloginrc.")
    default_user = serializers.CharField(
        required=False,
        allow_null=True,
        max_length=128,
        help_text="RANCID: the account that it ran as, for logins without a user.",
    )
    platforms = serializers.DictField(
        child=serializers.CharField(max_length=64),
        required=False,
        help_text="By model, type or slug of theirs our platform, or 'skip' to leave it out.",
    )
    with_credentials = serializers.BooleanField(
        default=False,
        help_text="Make credentials of the logins in the file; needs the right to add them.",
    )


class ImportResultSerializer(serializers.Serializer[Any]):
    """What an import did, or would do."""

    dry_run = serializers.BooleanField()
    created = serializers.IntegerField()
    updated = serializers.IntegerField()
    unchanged = serializers.IntegerField()
    credentials = serializers.ListField(
        child=serializers.CharField(), help_text="Names of the credentials that were made."
    )
    left_out = serializers.ListField(
        child=serializers.CharField(), help_text="Entries that are no devices to back up, and why."
    )
    notes = serializers.ListField(child=serializers.CharField())


class DeviceImportView(APIView):
    """Devices from a file, all or nothing."""

    permission_classes = [IsAuthenticated, MayImport]
    parser_classes = [BoundedImportParser]

    @extend_schema(request=ImportSerializer, responses={200: ImportResultSerializer})
    def post(self, request: Request) -> Response:
        """Create or update devices by hostname; nothing is changed when a line is bad."""
        given = ImportSerializer(data=request.data, context={"request": request})
        given.is_valid(raise_exception=True)
        asked = given.validated_data
        if asked["with_credentials"]:
            _check_credential_rights(request)
        try:
            result = file_import(
                text=asked["content"],
                kind=ImportFormat(asked["format"]),
                options=ImportOptions(
                    mapping=asked.get("mapping"),
                    cloginrc=asked.get("cloginrc"),
                    default_user=asked.get("default_user"),
                    platforms=asked.get("platforms", {}),
                ),
                dry_run=asked["dry_run"],
                tags=asked.get("tags", []),
                with_logins=asked["with_credentials"],
                max_devices=MAX_IMPORT_DEVICES,
                user=request.user,
            )
        except ImportFailed as error:
            raise exceptions.ValidationError({"content": _shown(error.problems)}) from None
        answer = {"dry_run": asked["dry_run"], **asdict(result)}
        return Response(ImportResultSerializer(answer).data)


class ExportQuerySerializer(serializers.Serializer[Any]):
    """What is written."""

    format = serializers.ChoiceField(
        choices=[one.value for one in ExportFormat], default=ExportFormat.CSV.value
    )


class FormatIsOurs(DefaultContentNegotiation):
    """Leaves ``?format=`` to the view: Django REST framework would look for a renderer."""

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """The first one, which writes errors; the file is written without any."""
        return renderers[0], renderers[0].media_type


class DeviceExportView(OfVisibleDevices, generics.GenericAPIView[Device]):
    """The devices that the caller sees, as a file."""

    device_path = "pk"
    queryset = Device.objects.all()
    serializer_class = ExportQuerySerializer
    content_negotiation_class = FormatIsOurs
    pagination_class = None
    filterset_class = DeviceViewSet.filterset_class
    search_fields = DeviceViewSet.search_fields
    ordering_fields = DeviceViewSet.ordering_fields

    @extend_schema(
        parameters=[ExportQuerySerializer],
        responses={
            (200, media_type): OpenApiTypes.ANY if kind is ExportFormat.JSON else OpenApiTypes.STR
            for kind, (_, media_type) in _FILES.items()
        },
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        """As CSV that can be imported again, as JSON, or as an inventory for Ansible.

        Takes the filters of the list of devices.
        """
        asked = ExportQuerySerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        kind = ExportFormat(asked.validated_data["format"])
        name, media_type = _FILES[kind]
        devices = self.filter_queryset(self.get_queryset())
        return StreamingHttpResponse(
            (part.encode() for part in devices_export(devices=devices, kind=kind)),
            content_type=f"{media_type}; charset=utf-8",
            headers={
                "Content-Disposition": f'attachment; filename="{name}"',
                "Cache-Control": "no-store",
            },
        )


def _check_credential_rights(request: Request) -> None:
    if not request.user.has_perm("credentials.add_credential") or is_limited(user=request.user):
        raise exceptions.PermissionDenied(
            "You may not make credentials; leave out 'with_credentials', or ask for the admin role."
        )


def _shown(problems: list[str]) -> list[str]:
    more = len(problems) - _MAX_PROBLEMS
    return problems[:_MAX_PROBLEMS] + ([f"and {more} more"] if more > 0 else [])
