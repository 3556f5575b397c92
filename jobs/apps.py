from __future__ import annotations

from django.apps import AppConfig


class JobsConfig(AppConfig):
    name = "jobs"
    verbose_name = "Jobs"

    def ready(self) -> None:
        # Connects the heartbeat to the worker's signals; the web and beat never send them.
        from jobs import heartbeat
        from jobs.schedules import entries

        heartbeat.connect()
        entries.connect()
