"""Fields that the forms of several pages have."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import QuerySet

from backups.selectors.device_filter import DeviceFilter
from credentials.models import Tag
from credentials.visibility import User, tags_visible_to
from inventory.models import Device, Zone
from inventory.platforms import platform_names
from inventory.visibility import scope_of

#: The browser's own calendar.
DATE = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")


def tag_field(user: User) -> forms.ModelChoiceField[Tag]:
    """One of the tags that ``user`` may see, by its name."""
    return forms.ModelChoiceField(
        required=False,
        queryset=tags_visible_to(user=user).order_by("name"),
        to_field_name="name",
        empty_label="All",
        label="Tag",
    )


class DeviceFilterForm(forms.Form):
    """Which devices a question over all configurations is about."""

    def __init__(self, *, user: User, **options: Any) -> None:
        super().__init__(**options)
        self._user = user
        self.fields["hostname"] = forms.CharField(required=False, max_length=255, label="Hostname")
        self.fields["tag"] = tag_field(user)
        self.fields["platform"] = forms.ChoiceField(
            required=False,
            label="Platform",
            choices=[("", "All"), *((name, name) for name in platform_names())],
        )
        self.fields["zone"] = forms.ModelChoiceField(
            required=False,
            queryset=Zone.objects.order_by("name"),
            to_field_name="name",
            empty_label="All",
            label="Zone",
        )

    @property
    def scope(self) -> QuerySet[Device] | None:
        """The devices that the user may see; None = all."""
        return scope_of(user=self._user)

    def device_filter(self) -> DeviceFilter:
        """What was asked for; after ``is_valid``."""
        given = self.cleaned_data
        return DeviceFilter(
            tags=(given["tag"].name,) if given["tag"] else (),
            platform=given["platform"],
            zone=given["zone"].name if given["zone"] else "",
            hostname=given["hostname"],
        )
