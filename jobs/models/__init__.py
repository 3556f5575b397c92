"""Jobs, their runs, one row per device of a run, and the logs.

The rows are the truth; a Celery message only rings the bell (docs/adr/0002). Every status change
is a conditional update in ``jobs.services``.
"""

from __future__ import annotations

from jobs.models.audit_checks import AuditCheck
from jobs.models.detections import DetectionState, PlatformDetection
from jobs.models.durations import PhaseDuration
from jobs.models.jobs import Job
from jobs.models.logs import ConnectionLog, JobLog, RunLog
from jobs.models.notices import ChangeNotice, SyslogCount
from jobs.models.notifications import (
    NotificationAttempt,
    NotificationEvent,
    NotificationMessage,
    NotificationRule,
    NotificationTarget,
)
from jobs.models.results import DeviceResult
from jobs.models.run_credentials import RunCredential
from jobs.models.runs import JobRun
from jobs.models.workers import ReconcilerTick, Tick, WorkerProcess

__all__ = [
    "AuditCheck",
    "ChangeNotice",
    "ConnectionLog",
    "DetectionState",
    "DeviceResult",
    "Job",
    "JobLog",
    "JobRun",
    "NotificationAttempt",
    "NotificationEvent",
    "NotificationMessage",
    "NotificationRule",
    "NotificationTarget",
    "PhaseDuration",
    "PlatformDetection",
    "ReconcilerTick",
    "RunCredential",
    "RunLog",
    "SyslogCount",
    "Tick",
    "WorkerProcess",
]
