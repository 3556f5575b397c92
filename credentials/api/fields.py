"""Fields that several serializers of the API have."""

from __future__ import annotations

from typing import Any

from django.db.models import Q, QuerySet
from rest_framework import serializers

from credentials.models import MAX_TAG_LENGTH, Tag, validate_name, validate_shown
from credentials.visibility import tags_visible_to


class NameField(serializers.SlugRelatedField[Any]):
    """Names another row; what no name can be names none."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, str) and "\x00" in data:
            self.fail("invalid")
        return super().to_internal_value(data)


class TagNamesField(serializers.ListField):
    """Tags by name or id, in; by name, out. Who saves the object makes the names that are missing.

    The value is the list of names.
    """

    child = serializers.CharField(
        max_length=MAX_TAG_LENGTH, validators=[validate_name, validate_shown]
    )

    def to_internal_value(self, data: Any) -> list[str]:
        ids = [one for one in data if _is_id(one)] if isinstance(data, list) else []
        # The database knows no larger ids, and would say so by an error.
        found = self._nameable().filter(pk__in=[pk for pk in ids if 0 < pk < 2**63])
        known = dict(found.values_list("pk", "name")) if ids else {}
        for pk in ids:
            if pk not in known:
                raise serializers.ValidationError(f"There is no tag with the id {pk}.")
        return super().to_internal_value(
            [known[one] if _is_id(one) else one for one in data] if ids else data
        )

    def to_representation(self, data: Any) -> list[str]:
        return sorted(tag.name for tag in data.all())

    def _nameable(self) -> QuerySet[Tag]:
        """The tags that the caller sees, and those of the row itself."""
        request = self.context.get("request")
        visible = tags_visible_to(user=None if request is None else request.user)
        carried = getattr(getattr(self.parent, "instance", None), self.source or "", None)
        if carried is None:
            return visible
        return Tag.objects.filter(
            Q(pk__in=visible.order_by().values("pk")) | Q(pk__in=carried.order_by().values("pk"))
        )


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def whole_number(*, low: int, high: int, **options: Any) -> serializers.IntegerField:
    """A field whose message names the value and the range."""

    def check(value: int) -> None:
        if not low <= value <= high:
            raise serializers.ValidationError(f"{value} is not between {low} and {high}.")

    return serializers.IntegerField(validators=[check], **options)


def max_sessions_field() -> serializers.IntegerField:
    """Sessions at once; null for no limit."""
    return whole_number(low=1, high=2**31 - 1, required=False, allow_null=True)
