"""Searching the newest configurations over the API."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param
from rest_framework.views import APIView

from backups.engine.search import LONGEST_PATTERN, MOST_CONTEXT, PatternError
from backups.models import Snapshot
from backups.selectors.device_filter import DeviceFilter
from backups.selectors.search import Search, SearchPage, config_search_page
from inventory.visibility import scope_of

_MOST_PAGES = 100_000
#: Each one is a query within the query when all of them are asked for.
_MOST_TAGS = 20


class DeviceFilterSerializer(serializers.Serializer[Any]):
    """Which devices a question is about; ``tag`` may be given several times."""

    tag = serializers.ListField(child=serializers.CharField(), default=list, max_length=_MOST_TAGS)
    all_tags = serializers.BooleanField(default=False)
    platform = serializers.CharField(default="", allow_blank=True)
    zone = serializers.CharField(default="", allow_blank=True)
    hostname = serializers.CharField(default="", allow_blank=True)

    def device_filter(self) -> DeviceFilter:
        """What was asked for; after ``is_valid``."""
        values = self.validated_data
        return DeviceFilter(
            tags=tuple(values["tag"]),
            all_tags=values["all_tags"],
            platform=values["platform"],
            zone=values["zone"],
            hostname=values["hostname"],
        )


class SearchQuerySerializer(DeviceFilterSerializer):
    """What to search for, and where."""

    q = serializers.CharField(max_length=LONGEST_PATTERN, trim_whitespace=False)
    ignore_case = serializers.BooleanField(default=False)
    fixed = serializers.BooleanField(default=False, help_text="Take q as plain text.")
    missing = serializers.BooleanField(default=False, help_text="Devices without such a line.")
    context = serializers.IntegerField(  # type: ignore[assignment]  # DRF takes fields off the class
        default=0, min_value=0, max_value=MOST_CONTEXT
    )
    count = serializers.BooleanField(default=False, help_text="Search to the end and count.")
    page = serializers.IntegerField(default=1, min_value=1, max_value=_MOST_PAGES)
    size = serializers.IntegerField(default=50, min_value=1, max_value=500)
    after = serializers.CharField(
        default="",
        allow_blank=True,
        help_text="Last hostname of the page before; stands in the link 'next'.",
    )

    def search(self) -> Search:
        """What was asked for; after ``is_valid``."""
        values = self.validated_data
        return Search(
            pattern=values["q"],
            ignore_case=values["ignore_case"],
            literal=values["fixed"],
            missing=values["missing"],
            context=values["context"],
            devices=self.device_filter(),
        )


class FoundLineSerializer(serializers.Serializer[Any]):
    """A line that matches, with the lines around it."""

    line = serializers.IntegerField()
    text = serializers.CharField()
    before = serializers.ListField(child=serializers.CharField())
    after = serializers.ListField(child=serializers.CharField())


class FoundDeviceSerializer(serializers.Serializer[Any]):
    """A device whose newest configuration is what was searched for."""

    device = serializers.IntegerField(source="device_id")
    hostname = serializers.CharField()
    snapshot = serializers.IntegerField(source="snapshot_id")
    collected_at = serializers.DateTimeField()
    matches = FoundLineSerializer(many=True)
    more = serializers.BooleanField()


class SearchPageSerializer(serializers.Serializer[Any]):
    """A page of devices; ``count`` and ``pages`` are null until the search has come to its end."""

    count = serializers.IntegerField(allow_null=True)
    page = serializers.IntegerField()
    size = serializers.IntegerField()
    pages = serializers.IntegerField(allow_null=True)
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    complete = serializers.BooleanField()
    note = serializers.CharField()
    results = FoundDeviceSerializer(many=True)


class SearchView(APIView):
    """The lines of the newest configurations that match, device by device."""

    #: Names the model whose ``view`` permission is asked for.
    queryset = Snapshot.objects.none()

    @extend_schema(parameters=[SearchQuerySerializer], responses=SearchPageSerializer)
    def get(self, request: Request) -> Response:
        """Search the newest configurations of the active devices, by hostname."""
        query = SearchQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        try:
            found = config_search_page(
                search=query.search(),
                page=query.validated_data["page"],
                size=query.validated_data["size"],
                after=query.validated_data["after"],
                with_count=query.validated_data["count"],
                seconds=settings.NETRAVEN.search_seconds,
                scope=scope_of(user=request.user),
            )
        except PatternError as error:
            raise exceptions.ValidationError({"q": [str(error)]}) from None
        return Response(_answer(found, request.build_absolute_uri()))


def _answer(found: SearchPage, url: str) -> dict[str, Any]:
    pages = None if found.count is None else max(1, -(-found.count // found.size))
    return {
        "count": found.count,
        "page": found.page,
        "size": found.size,
        "pages": pages,
        "next": _next(found, url) if found.has_next else None,
        "previous": _previous(found, url) if found.page > 1 else None,
        "complete": found.complete,
        "note": found.note,
        "results": FoundDeviceSerializer(found.devices, many=True).data,
    }


def _next(found: SearchPage, url: str) -> str:
    url = replace_query_param(url, "page", found.page + 1)
    return replace_query_param(url, "after", found.devices[-1].hostname)


def _previous(found: SearchPage, url: str) -> str:
    return replace_query_param(remove_query_param(url, "after"), "page", found.page - 1)
