"""People."""

from __future__ import annotations

from django.contrib.auth.models import Permission, User
from factory.declarations import Sequence
from factory.django import DjangoModelFactory


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
