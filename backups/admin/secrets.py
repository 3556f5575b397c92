"""Where secrets stand, by their tokens, in the admin."""

from __future__ import annotations

from django.contrib import admin

from backups.models import SecretUse
from credentials.admin import ReadOnlyAdmin
from inventory.scoped import ScopedAdmin


@admin.register(SecretUse)
class SecretUseAdmin(ScopedAdmin, ReadOnlyAdmin):
    list_display = ["device", "line_number", "place", "token", "first_seen_at", "changed_at"]
    list_filter = ["changed_at", "device__platform", "device__tags"]
    list_select_related = ["device"]
    search_fields = ["device__hostname", "=token", "place"]
