"""Django's system check that says what a host without the Git store can do."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core import checks

from backups.selectors.git import git_is_here


def check_git_place(**_: Any) -> list[checks.CheckMessage]:
    """A warning where only a queue writes to Git and the repository is not on this host."""
    if git_is_here():
        return []
    return [
        checks.Warning(
            f"there is no Git store at {settings.NETRAVEN.git_directory} on this host: newest "
            "configurations, searches, runs and devices work here; earlier revisions, differences, "
            "verify_store, git_remote and import_history do not",
            hint="Run web and these commands on the host where the queue 'git' is served, or serve "
            "it here: 'python manage.py worker --queues git' makes a Git store.",
            id="netraven.W001",
        )
    ]


def connect() -> None:
    """Stand among Django's checks."""
    checks.register(check_git_place)
