"""People."""

from __future__ import annotations

from django.contrib.auth.models import Group, Permission, User
from factory.declarations import Sequence
from factory.django import DjangoModelFactory

from netraven_site.accounts.roles import Role


class UserFactory(DjangoModelFactory[User]):
    """A user without any right."""

    class Meta:
        model = User

    username = Sequence(lambda number: f"user{number}")


def user_with(*permissions: str) -> User:
    """A user with the named permissions, each as ``app_label.codename``."""
    user = UserFactory.create()
    for name in permissions:
        app_label, _, codename = name.partition(".")
        permission = Permission.objects.get(content_type__app_label=app_label, codename=codename)
        user.user_permissions.add(permission)
    return user


def user_in(*roles: Role) -> User:
    """A user who may open the pages, in the groups of these roles."""
    user = UserFactory.create(is_staff=True)
    user.groups.set(Group.objects.filter(name__in=roles))
    return user
