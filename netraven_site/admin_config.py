"""Django's admin, whose pages are looked for when something needs them.

They take an eighth of a start, and only the web has any: ``urls.py`` finds them.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.apps import SimpleAdminConfig
from django.contrib.admin.checks import check_admin_app, check_dependencies
from django.core import checks


class AdminConfig(SimpleAdminConfig):
    """The admin without a look for pages at every start."""

    def ready(self) -> None:
        checks.register(check_dependencies, checks.Tags.admin)
        checks.register(check_pages, checks.Tags.admin)


def check_pages(**options: Any) -> list[checks.CheckMessage]:
    """Django's check of all pages, which finds them first."""
    admin.autodiscover()
    found: list[checks.CheckMessage] = check_admin_app(**options)
    return found
