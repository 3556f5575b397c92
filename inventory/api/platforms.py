"""The platforms in the API: what devices may run."""

from __future__ import annotations

from typing import Any

from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, viewsets
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.permissions import HasPermission
from inventory.platforms import (
    PlatformDefinition,
    UnknownPlatform,
    get_platform,
    platform_names,
)
from inventory.platforms.definition import Role


class MaySeeDevices(HasPermission):
    """Users with the right to see devices, which have platforms."""

    permission = "inventory.view_device"
    message = "You may not see devices; ask for the viewer role."


class PlatformCommandSerializer(serializers.Serializer[Any]):
    """One command of a collection and what its output is."""

    command = serializers.CharField()
    role = serializers.ChoiceField(choices=[role.value for role in Role])
    fallback = serializers.ListField(
        child=serializers.CharField(), help_text="Asked if the device rejects the one before."
    )


class PlatformSerializer(serializers.Serializer[Any]):
    """What NetRaven knows about a platform; ``name`` is what a device has as its platform."""

    name = serializers.CharField()
    aliases = serializers.ListField(child=serializers.CharField())
    title = serializers.CharField()
    driver = serializers.CharField(help_text="Netmiko's device_type.")
    commands = PlatformCommandSerializer(many=True)
    changes_device = serializers.CharField(
        allow_blank=True, help_text="Which settings of the device reading alters; empty for none."
    )
    note = serializers.CharField(allow_blank=True)


class PlatformQuerySerializer(serializers.Serializer[Any]):
    """Which platforms, and in which order."""

    name = serializers.CharField(required=False, help_text="The name or an alias.")
    driver = serializers.CharField(required=False)
    changes_device = serializers.BooleanField(required=False, allow_null=True, default=None)
    search = serializers.CharField(required=False, help_text="Part of a name or of the title.")
    ordering = serializers.ChoiceField(
        choices=["name", "-name", "title", "-title", "driver", "-driver"], default="name"
    )

    def wants(self, platform: PlatformDefinition) -> bool:
        """Whether the validated filters let ``platform`` through."""
        given = self.validated_data
        names = [platform.name, *platform.aliases]
        text = given.get("search", "").lower()
        return (
            given.get("name", platform.name) in names
            and given.get("driver", platform.driver) == platform.driver
            and given["changes_device"] in {None, bool(platform.changes_device)}
            and any(text in one.lower() for one in (*names, platform.title))
        )


class PlatformViewSet(viewsets.GenericViewSet[Any]):
    """What devices may run: the data files that NetRaven brings, and those of the installation."""

    serializer_class = PlatformSerializer
    permission_classes = [IsAuthenticated, MaySeeDevices]
    filter_backends: list[Any] = []
    lookup_field = "name"
    lookup_value_regex = "[^/]{1,64}"

    @extend_schema(
        parameters=[PlatformQuerySerializer], responses={200: PlatformSerializer(many=True)}
    )
    def list(self, request: Request) -> Response:
        """The platforms that can be used, by name."""
        query = PlatformQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        ordering = query.validated_data["ordering"]
        found = sorted(
            filter(query.wants, map(get_platform, platform_names())),
            key=lambda platform: (getattr(platform, ordering.lstrip("-")), platform.name),
            reverse=ordering.startswith("-"),
        )
        page: Any = self.paginate_queryset(found)
        return self.get_paginated_response(PlatformSerializer(page, many=True).data)

    @extend_schema(
        parameters=[OpenApiParameter("name", str, OpenApiParameter.PATH)],
        responses={200: PlatformSerializer},
    )
    def retrieve(self, request: Request, name: str) -> Response:
        """One platform, by its name or an alias."""
        try:
            platform = get_platform(name)
        except UnknownPlatform as error:
            raise Http404(str(error)) from error
        return Response(PlatformSerializer(platform).data)
