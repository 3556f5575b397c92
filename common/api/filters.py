"""Filters of lists: what can be asked of a column follows from what it holds."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db import models
from django_filters import rest_framework as filters

__all__ = ["Filters", "filters", "lookups", "named"]

_NUMBERS = (models.IntegerField, models.FloatField)


class WholeNumberFilter(filters.NumberFilter):
    """Asks for a whole number, in digits.

    A decimal field takes exponents, and making an integer of ``1e1000000`` holds up the process
    for a minute.
    """

    field_class = forms.IntegerField


class Filters(filters.FilterSet):
    """The filters of a list, of which a request makes only those that it names.

    All of them, each with its field of a form, would take a third of the time of a page.
    """

    FILTER_DEFAULTS = filters.FilterSet.FILTER_DEFAULTS | {
        column: {**default, "filter_class": WholeNumberFilter}
        for column, default in filters.FilterSet.FILTER_DEFAULTS.items()
        if issubclass(column, models.IntegerField)
    }

    #: All of them by name; of an instance those that its request names.
    base_filters: dict[str, Any]

    def __init__(self, data: Any = None, *args: Any, **kwargs: Any) -> None:
        if data is not None:
            known = type(self).base_filters
            self.base_filters = {name: known[name] for name in known if name in data}
        super().__init__(data, *args, **kwargs)


def lookups(model: type[models.Model], *names: str) -> dict[str, list[str]]:
    """What django-filter takes as ``fields``: for each column the questions that it answers.

    A name alone asks for the very value; ``__icontains`` for a part of a text, ``__gte`` and
    ``__lte`` for a range, ``__isnull`` for whether there is a value. Times are from ``__gte`` on
    and before ``__lt``.
    """
    return {name: _lookups(model._meta.get_field(name)) for name in names}


def _lookups(column: Any) -> list[str]:
    found = ["isnull"] if column.null else []
    if isinstance(column, models.DateTimeField):
        return [*found, "gte", "lt"]
    if isinstance(column, _NUMBERS):
        return [*found, "exact", "gte", "lte"]
    if isinstance(column, models.CharField | models.TextField) and not column.choices:
        return [*found, "exact", "icontains"]
    return [*found, "exact"]


def named(path: str) -> filters.CharFilter:
    """A filter for what goes by a name, in upper or lower case: tags, zones, credentials, users."""
    return filters.CharFilter(path, lookup_expr="iexact")
