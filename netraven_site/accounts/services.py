"""Writing users: their roles, their limit, their password."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from django.contrib.auth.models import Group, User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import connection, transaction

from credentials.models import Tag, TagLimit
from netraven_site.accounts.roles import Role

#: Number of the advisory lock under which one change of users at a time is looked at.
_LOCK: Final = 0x4E65_7452_5553_4552


class LastAdmin(Exception):
    """Nobody would be left who may manage users; the message says what to do first."""


@transaction.atomic
def user_save(
    *,
    user: User,
    password: str | None = None,
    roles: Iterable[Role] | None = None,
    limit: Iterable[Tag] | None = None,
    is_limit_given: bool = False,
) -> User:
    """Validate and save ``user``; None leaves password and roles as they are.

    With ``is_limit_given`` the user is limited to the tags of ``limit``, or with None not limited.
    Groups that are no roles stay. Raises ValidationError for a weak password among others, and
    LastAdmin.
    """
    if password is not None:
        _check_password(user, password)
        user.set_password(password)
    elif user.pk is None:
        user.set_unusable_password()
    user.full_clean(exclude=["password"])
    user.save()
    if roles is not None:
        others = user.groups.exclude(name__in=[role.value for role in Role])
        wanted = Group.objects.filter(name__in=[role.value for role in roles])
        user.groups.set([*others, *wanted])
    if is_limit_given:
        _set_limit(user, limit)
    keep_an_admin()
    return user


@transaction.atomic
def user_delete(*, user: User) -> None:
    """Delete ``user`` with their tokens. Raises LastAdmin."""
    user.delete()
    keep_an_admin()


def _check_password(user: User, password: str) -> None:
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise ValidationError({"password": error.messages}) from None


def _set_limit(user: User, tags: Iterable[Tag] | None) -> None:
    if tags is None:
        TagLimit.objects.filter(user=user).delete()
        return
    limit, _ = TagLimit.objects.get_or_create(user=user)
    limit.tags.set(tags)


def keep_an_admin() -> None:
    """Raise LastAdmin if nobody is left who may manage users.

    Asked at the end of each change of users and groups, in its transaction. One after the other:
    of two admins who remove each other at the same moment, the second one sees what the first did.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
    active = User.objects.filter(is_active=True)
    full = active.filter(is_superuser=True) | active.filter(
        groups__name=Role.ADMIN.value, tag_limit=None
    )
    if not full.exists():
        raise LastAdmin("this is the last user who may manage users; make another admin first")
