"""Names of users: upper and lower case are the same, so that nobody is taken for somebody else.

The database has the last word, by the unique index ``netraven_username_unique``; this asks before,
so that there is a message.
"""

from __future__ import annotations

from django.contrib.auth.models import User


def username_problem(*, username: str, user_id: int | None) -> str | None:
    """Why the user with this id (None = one to be made) cannot have this name; None if they can."""
    twins = User.objects.filter(username__iexact=username)
    if user_id is not None:
        twins = twins.exclude(pk=user_id)
    twin = twins.values_list("username", flat=True).first()
    if twin is None:
        return None
    return f"There is already a user '{twin}'; upper and lower case are the same in user names."
