"""Jobs, runs, results and logs in the admin. Importing a module registers its models."""

from jobs.admin import (
    detections,
    devices,
    jobs,
    logs,
    notices,
    notifications,
    runs,
    schedules,
    workers,
)

__all__ = [
    "detections",
    "devices",
    "jobs",
    "logs",
    "notices",
    "notifications",
    "runs",
    "schedules",
    "workers",
]
