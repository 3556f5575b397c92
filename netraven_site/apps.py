from __future__ import annotations

from django.apps import AppConfig


class SiteConfig(AppConfig):
    name = "netraven_site"
    verbose_name = "NetRaven"

    def ready(self) -> None:
        # Connects to the signals of worker and beat, and registers a check; needs the models.
        from netraven_site import audit, git_check, key_gate, loading, log_context
        from netraven_site.accounts import roles, usernames

        key_gate.connect()
        git_check.connect()
        roles.connect()
        usernames.connect()
        audit.connect()
        log_context.connect()
        loading.connect()
        loading.end()
