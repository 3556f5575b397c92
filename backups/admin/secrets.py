"""Where secrets stand, by their tokens, in the admin."""

from __future__ import annotations

from django.contrib import admin

from backups.models import SecretUse
from credentials.admin import ReadOnlyAdmin


@admin.register(SecretUse)
class SecretUseAdmin(ReadOnlyAdmin):
    list_display = ["device", "place", "token", "changed_at", "line_number"]
    list_filter = ["changed_at"]
    list_select_related = ["device"]
    search_fields = ["device__hostname", "=token", "place"]
