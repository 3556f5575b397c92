"""Retention policies in the admin."""

from __future__ import annotations

from django.contrib import admin
from unfold.admin import ModelAdmin

from backups.models import RetentionPolicy


@admin.register(RetentionPolicy)
class RetentionPolicyAdmin(ModelAdmin):
    list_display = ["name", "archive_days", "archive_count", "log_days"]
    autocomplete_fields = ["tags"]
    search_fields = ["name"]
