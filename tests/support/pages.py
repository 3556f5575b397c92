"""Users and answers, for tests of the operator's pages."""

from __future__ import annotations

from django.contrib.auth.models import User

from credentials.models import TagLimit
from credentials.services import tags_ensure


def limited_to(user: User, *tags: str) -> User:
    """``user``, who from then on sees the devices with one of ``tags`` only."""
    limit = TagLimit.objects.create(user=user)
    limit.tags.set(tags_ensure(names=tags))
    return user
