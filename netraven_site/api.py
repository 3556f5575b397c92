"""What all of the API shares: permissions by model, order, and paging."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.db.models.query import ModelIterable
from rest_framework.filters import OrderingFilter
from rest_framework.pagination import PageNumberPagination
from rest_framework.permissions import DjangoModelPermissions
from rest_framework.request import Request
from rest_framework.response import Response


class ModelPermissions(DjangoModelPermissions):
    """Authenticated users with the model's Django permissions; reading needs ``view`` as well."""

    perms_map = {
        **DjangoModelPermissions.perms_map,
        "GET": ["%(app_label)s.view_%(model_name)s"],
        "HEAD": ["%(app_label)s.view_%(model_name)s"],
    }

    def _queryset(self, view: Any) -> Any:
        """What the view names as its model; its rows are not asked for before the rights are."""
        if view.queryset is not None:
            return view.queryset
        return super()._queryset(view)


class StableOrdering(OrderingFilter):
    """``?ordering=``; rows that are equal in it go by their ids, so that no page repeats one."""

    def get_ordering(self, request: Request, queryset: Any, view: Any) -> Sequence[str] | None:
        wanted: Sequence[str] | None = super().get_ordering(request, queryset, view)
        return [*wanted, "pk"] if wanted else wanted


def _gives_models(rows: Any) -> bool:
    """Whether ``rows`` are those of a model, and not grouped or computed ones."""
    kind = getattr(rows, "_iterable_class", None)
    return isinstance(rows, QuerySet) and kind is ModelIterable


class NarrowFirst(Paginator[Any]):
    """Sorts the ids of long lists, and reads whole rows, with what belongs to them, of one page."""

    #: Rows from which on that is worth a query.
    long = 1000

    def page(self, number: int | str) -> Page[Any]:
        rows: Any = self.object_list
        if not _gives_models(rows) or self.count < self.long:
            return super().page(number)
        number = self.validate_number(number)
        begin = (number - 1) * self.per_page
        ids = list(rows.values_list("pk", flat=True)[begin : begin + self.per_page])
        return Page(rows.filter(pk__in=ids), number, self)


class Pages(PageNumberPagination):
    """``?page=&size=`` and ``{count, page, size, pages, next, previous, results}``."""

    django_paginator_class = NarrowFirst
    page_size = 50
    page_size_query_param = "size"
    max_page_size = 500

    def get_paginated_response(self, data: Any) -> Response:
        assert self.page is not None  # set before this is called
        size = self.page.paginator.per_page
        count = self.page.paginator.count
        return Response(
            {
                "count": count,
                "page": self.page.number,
                "size": size,
                "pages": max(1, math.ceil(count / size)),
                "next": self.get_next_link(),
                "previous": self.get_previous_link(),
                "results": data,
            }
        )

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": "string", "nullable": True, "format": "uri"}
        examples = {"count": 120, "page": 2, "size": 50, "pages": 3}
        properties: dict[str, Any] = {
            name: {"type": "integer", "example": number} for name, number in examples.items()
        }
        for name, page in (("next", 3), ("previous", 1)):
            properties[name] = {**link, "example": f"https://netraven.example/api/v1/?page={page}"}
        properties["results"] = schema
        return {"type": "object", "required": list(properties), "properties": properties}
