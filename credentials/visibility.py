"""Which tags and credentials a user sees; ``inventory.visibility`` builds the devices on it."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from credentials.models import Credential, Tag, TagLimit

#: Whoever makes a request: a user of Django's, an anonymous one, or None.
User = Any


def limit_of(*, user: User) -> QuerySet[Tag] | None:
    """The tags that ``user`` is limited to, or None for a user who sees everything.

    Superusers are never limited. Who is not logged in is limited to no tag at all. One query per
    user object.
    """
    if user is None or not user.is_authenticated:
        return Tag.objects.none()
    if user.is_superuser:
        return None
    try:
        limit: TagLimit = user.tag_limit
    except TagLimit.DoesNotExist:
        return None
    return limit.tags.all()


def is_limited(*, user: User) -> bool:
    """Whether ``user`` sees the devices of some tags only."""
    return limit_of(user=user) is not None


def tags_visible_to(*, user: User) -> QuerySet[Tag]:
    """The tags that ``user`` may see and give away."""
    limit = limit_of(user=user)
    return Tag.objects.all() if limit is None else Tag.objects.filter(pk__in=limit.values("pk"))


def credentials_visible_to(*, user: User) -> QuerySet[Credential]:
    """The credentials that ``user`` may see and use: for a limited user those with their tags."""
    limit = limit_of(user=user)
    if limit is None:
        return Credential.objects.all()
    carried = Credential.tags.through.objects.filter(tag__in=limit.values("pk"))
    return Credential.objects.filter(pk__in=carried.values("credential_id"))
