"""Filters that several lists have."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import django_filters
from django import forms
from django.forms.utils import flatatt
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from credentials.visibility import tags_visible_to
from inventory.models import Zone
from inventory.visibility import devices_visible_to


class QuickSelect(forms.Select):
    """The same element, without a template for each of its options: names are many."""

    def render(
        self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: Any = None
    ) -> SafeString:
        """The whole element."""
        chosen = self.format_value(value)
        options = format_html_join(
            "",
            '<option value="{}"{}>{}</option>',
            (
                (key, SafeString(" selected") if str(key) in chosen else "", label)
                for key, label in self.choices
            ),
        )
        attributes = flatatt({**self.attrs, **(attrs or {}), "name": name})
        return format_html("<select{}>{}</select>", attributes, options)


class NameFilter(django_filters.ChoiceFilter):
    """One of the names that the user sees; the choices and the check cost one query together."""

    def __init__(
        self, field_name: str, *, names: Callable[[HttpRequest], Iterable[str]], **options: Any
    ) -> None:
        super().__init__(field_name, empty_label="All", widget=QuickSelect, **options)
        self._names = names

    @property
    def field(self) -> forms.Field:
        """The field with the names of this request."""
        if "choices" not in self.extra:
            self.extra["choices"] = [(name, name) for name in self._names(self.parent.request)]
        field: forms.Field = super().field
        return field


def tag_filter() -> NameFilter:
    """Rows that carry one tag of those that the user sees."""
    return NameFilter("tags__name", names=_tags, label="Tag")


def zone_filter() -> NameFilter:
    """Devices of one zone."""
    return NameFilter("zone__name", names=_zones, label="Zone")


def platform_filter() -> NameFilter:
    """Devices of one of the platforms that the user's devices have."""
    return NameFilter("platform", names=_platforms, label="Platform")


def _tags(request: HttpRequest) -> Iterable[str]:
    return tags_visible_to(user=request.user).values_list("name", flat=True)


def _zones(request: HttpRequest) -> Iterable[str]:
    return Zone.objects.values_list("name", flat=True)


def _platforms(request: HttpRequest) -> Iterable[str]:
    devices = devices_visible_to(user=request.user).order_by("platform")
    return devices.values_list("platform", flat=True).distinct()
