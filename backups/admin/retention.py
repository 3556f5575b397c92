"""Retention policies in the admin, and who deleted a history."""

from __future__ import annotations

from django.contrib import admin
from unfold.admin import ModelAdmin

from backups.models import HistoryDeletion, RetentionPolicy
from credentials.admin import ReadOnlyAdmin
from credentials.scoped import WholeAdmin


@admin.register(RetentionPolicy)
class RetentionPolicyAdmin(WholeAdmin, ModelAdmin):
    list_display = ["name", "archive_days", "archive_count", "log_days"]
    list_filter = ["tags"]
    autocomplete_fields = ["tags"]
    search_fields = ["name"]


@admin.register(HistoryDeletion)
class HistoryDeletionAdmin(WholeAdmin, ReadOnlyAdmin):
    list_display = [
        "hostname",
        "deleted_at",
        "deleted_by",
        "before",
        "snapshot_count",
        "archive_count",
        "suspect_count",
    ]
    list_filter = ["deleted_at"]
    search_fields = ["hostname", "deleted_by"]
