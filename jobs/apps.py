from __future__ import annotations

from django.apps import AppConfig


class JobsConfig(AppConfig):
    name = "jobs"
    verbose_name = "Jobs"

    def ready(self) -> None:
        # Connects the heartbeat to the worker's signals; the web and beat never send them.
        from credentials.sealed import register_sealed
        from jobs import heartbeat
        from jobs.notifications.targets import SEALED_COLUMNS
        from jobs.schedules import entries

        heartbeat.connect()
        entries.connect()
        register_sealed(*SEALED_COLUMNS)
