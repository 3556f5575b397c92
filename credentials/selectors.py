"""Reading tags and credentials."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models.functions import Lower

from credentials.models import Credential, Tag


def tags_by_name(*, names: Iterable[str]) -> dict[str, Tag]:
    """The existing tags among ``names`` by their lower-case name."""
    wanted = {name.strip().lower() for name in names}
    return {tag.name.lower(): tag for tag in Tag.objects.annotate(lower=Lower("name")).filter(lower__in=wanted)}


def credentials_for_tags(*, tag_ids: Iterable[int]) -> list[Credential]:
    """Active credentials that carry one of the tags, first choice first, each once."""
    return list(
        Credential.objects.filter(is_active=True, tags__in=list(tag_ids))
        .distinct()
        .order_by("priority", "name")
    )
