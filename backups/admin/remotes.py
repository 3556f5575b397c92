"""Git remotes in the admin."""

from __future__ import annotations

from django.contrib import admin
from unfold.admin import ModelAdmin

from backups.models import GitRemote


@admin.register(GitRemote)
class GitRemoteAdmin(ModelAdmin):
    list_display = ["name", "url", "zone", "is_enabled", "state", "pushed_at", "error"]
    list_filter = ["state", "zone"]
    list_select_related = ["zone"]
    search_fields = ["name", "url"]
    readonly_fields = ["state", "error", "pushed_at", "pushed_commit", "attempted_at", "failures"]
