"""Who took note of which change, in the admin."""

from __future__ import annotations

from django.contrib import admin

from backups.models import ChangeAcknowledgement
from credentials.admin import ReadOnlyAdmin
from credentials.scoped import WholeAdmin


@admin.register(ChangeAcknowledgement)
class ChangeAcknowledgementAdmin(WholeAdmin, ReadOnlyAdmin):
    list_display = [
        "acknowledged_at",
        "acknowledged_by",
        "ticket",
        "note",
        "device_count",
        "run_id",
        "job_name",
    ]
    list_filter = ["acknowledged_at"]
    search_fields = ["acknowledged_by", "ticket", "note", "job_name"]
