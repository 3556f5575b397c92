"""People who look at pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from django.test import Client

    from netraven_site.accounts.roles import Role


@pytest.fixture
def log_in(client: Client) -> Callable[..., User]:
    """Log a user of a role in; ``only`` names the tags that the user is limited to."""
    from tests.factories import user_in
    from tests.support.pages import limited_to

    def log_in(role: Role, only: tuple[str, ...] | None = None) -> User:
        user = user_in(role)
        if only is not None:
            limited_to(user, *only)
        client.force_login(user)
        return user

    return log_in


@pytest.fixture
def operator(log_in: Callable[..., User]) -> User:
    from netraven_site.accounts.roles import Role

    return log_in(Role.OPERATOR)
