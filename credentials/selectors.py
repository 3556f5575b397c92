"""Reading tags and credentials."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Value
from django.db.models.functions import Lower

from credentials.models import Credential, Tag


def tag_get(*, name: str) -> Tag:
    """The tag with this name in upper or lower case. Raises Tag.DoesNotExist.

    The database lowers both sides, as its unique constraint does: Python lowers letters such as
    the Turkish dotted I or the final sigma in another way.
    """
    return Tag.objects.alias(lower=Lower("name")).get(lower=Lower(Value(name)))


def credentials_for_tags(*, tag_ids: Iterable[int]) -> list[Credential]:
    """Active credentials that carry one of the tags, first choice first, each once."""
    return list(
        Credential.objects.filter(is_active=True, tags__in=list(tag_ids))
        .distinct()
        .order_by("priority", "name")
    )
