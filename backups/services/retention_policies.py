"""Keeping retention policies."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction

from backups.models import RetentionPolicy
from credentials.models import Tag


@transaction.atomic
def retention_policy_save(
    *, policy: RetentionPolicy, tags: Iterable[Tag] | None = None
) -> RetentionPolicy:
    """Validate and save ``policy``; None leaves its tags as they are. Raises ValidationError."""
    policy.full_clean()
    policy.save()
    if tags is not None:
        policy.tags.set(tags)
    return policy
