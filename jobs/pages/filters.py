"""Filters that several lists have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import django_filters
from django import forms
from django.db.models import QuerySet
from django.http import HttpRequest

from credentials.visibility import tags_visible_to
from inventory.models import Zone


class NameFilter(django_filters.ChoiceFilter):
    """One of the names that the user sees; the choices and the check cost one query together."""

    def __init__(
        self, field_name: str, *, rows: Callable[[HttpRequest], QuerySet[Any]], **options: Any
    ) -> None:
        super().__init__(field_name, empty_label="All", **options)
        self._rows = rows

    @property
    def field(self) -> forms.Field:
        """The field with the names of this request."""
        if "choices" not in self.extra:
            names = self._rows(self.parent.request).values_list("name", flat=True)
            self.extra["choices"] = [(name, name) for name in names]
        field: forms.Field = super().field
        return field


def tag_filter() -> NameFilter:
    """Rows that carry one tag of those that the user sees."""
    return NameFilter(
        "tags__name", rows=lambda request: tags_visible_to(user=request.user), label="Tag"
    )


def zone_filter() -> NameFilter:
    """Devices of one zone."""
    return NameFilter("zone__name", rows=lambda request: Zone.objects.all(), label="Zone")
