"""What the admin has pages for."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin import ModelAdmin
from django.db.models import Model


def registered() -> dict[type[Model], ModelAdmin[Any]]:
    """The pages of each model."""
    # As urls.py does; nothing may have loaded it yet.
    admin.autodiscover()
    return admin.site._registry
