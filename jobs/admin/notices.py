"""Devices that were said to have changed and are to be backed up, in the admin."""

from __future__ import annotations

from django.contrib import admin

from credentials.admin import ReadOnlyAdmin
from inventory.scoped import ScopedAdmin
from jobs.models import ChangeNotice


@admin.register(ChangeNotice)
class ChangeNoticeAdmin(ScopedAdmin, ReadOnlyAdmin):
    """What waits; a row goes when its run is made."""

    list_display = ["device", "changed_by", "told_by", "noticed_at", "due_at"]
    list_filter = ["noticed_at"]
    list_select_related = ["device"]
    search_fields = ["device__hostname", "changed_by", "told_by"]
