"""Refuses, at every door, a user name that differs from another in upper and lower case only."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db.models.signals import pre_save

from credentials.usernames import username_problem


def connect() -> None:
    """Have every name asked about before it is written."""
    pre_save.connect(_check, sender=User, dispatch_uid="netraven-usernames")


def _check(
    instance: User, raw: bool = False, update_fields: Collection[str] | None = None, **_: Any
) -> None:
    if raw or (update_fields is not None and "username" not in update_fields):
        return
    problem = username_problem(username=instance.username, user_id=instance.pk)
    if problem is not None:
        raise ValidationError({"username": problem})
