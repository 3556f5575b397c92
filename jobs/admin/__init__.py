"""Jobs, runs, results and logs in the admin. Importing a module registers its models."""

from jobs.admin import detections, jobs, logs, notifications, runs, schedules, workers

__all__ = ["detections", "jobs", "logs", "notifications", "runs", "schedules", "workers"]
