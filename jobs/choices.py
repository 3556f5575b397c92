"""Statuses as they stand in the API and in the database."""

from __future__ import annotations

from enum import StrEnum


class RunStatus(StrEnum):
    """Where a job run stands. The values are part of the API."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    COMPLETED_SUCCESS = "COMPLETED_SUCCESS"
    COMPLETED_PARTIAL_FAILURE = "COMPLETED_PARTIAL_FAILURE"
    COMPLETED_FAILURE = "COMPLETED_FAILURE"
    COMPLETED_NO_DEVICES = "COMPLETED_NO_DEVICES"
    COMPLETED_NO_CREDENTIALS = "COMPLETED_NO_CREDENTIALS"
    FAILED_CREDENTIAL_RESOLUTION = "FAILED_CREDENTIAL_RESOLUTION"
    FAILED_DISPATCHER_ERROR = "FAILED_DISPATCHER_ERROR"
    FAILED_UNEXPECTED = "FAILED_UNEXPECTED"
    CANCELLED = "CANCELLED"


#: A run in one of these can still change.
OPEN_RUN_STATUSES = frozenset({RunStatus.PENDING, RunStatus.RUNNING})
FINAL_RUN_STATUSES = frozenset(RunStatus) - OPEN_RUN_STATUSES


class ResultStatus(StrEnum):
    """Where one device of a run stands. The values are part of the API."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    RETRYING = "RETRYING"
    SUCCEEDED = "SUCCEEDED"
    #: The device's or the network's side.
    FAILED = "FAILED"
    #: Our side.
    ERRORED = "ERRORED"
    SUSPECT = "SUSPECT"
    SKIPPED = "SKIPPED"
    CANCELLED = "CANCELLED"


OPEN_RESULT_STATUSES = frozenset(
    {ResultStatus.PENDING, ResultStatus.RUNNING, ResultStatus.RETRYING}
)
FINAL_RESULT_STATUSES = frozenset(ResultStatus) - OPEN_RESULT_STATUSES
#: The device was not backed up, and nobody wanted it so.
FAILURE_STATUSES = frozenset(
    {ResultStatus.FAILED, ResultStatus.ERRORED, ResultStatus.SUSPECT, ResultStatus.SKIPPED}
)


class ScheduleType(StrEnum):
    """How a job starts by itself."""

    NONE = "none"
    INTERVAL = "interval"
    CRON = "cron"
    ONETIME = "onetime"


class CatchUp(StrEnum):
    """What becomes of a planned time that passed while nothing could start a run."""

    RUN_ONCE = "run_once"
    SKIP = "skip"


class Trigger(StrEnum):
    """What asked for a run."""

    MANUAL = "manual"
    COMMAND = "command"
    API = "api"
    SCHEDULE = "schedule"
    RETRY = "retry"
    #: The device, or another system, has told of a change.
    CHANGE = "change"


class LogLevel(StrEnum):
    """How much a log line matters."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Severity(StrEnum):
    """How urgent an event is. The values are part of the API."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class EventKind(StrEnum):
    """What people are told of. The values are part of the API."""

    CONFIG_CHANGED = "config_changed"
    RUN_FAILED = "run_failed"
    RUN_PARTIAL = "run_partial"
    RUN_RECOVERED = "run_recovered"
    DEVICE_FAILING = "device_failing"
    DEVICE_RECOVERED = "device_recovered"
    SUSPECT = "suspect"
    HOST_KEY_CHANGED = "host_key_changed"
    FRESHNESS_MISSED = "freshness_missed"
    PUSH_FAILING = "push_failing"
    PUSH_RECOVERED = "push_recovered"
    AUDIT_BROKEN = "audit_broken"


class TargetKind(StrEnum):
    """How messages get to a target."""

    #: Mail, Slack, Teams, syslog and whatever else Apprise knows.
    APPRISE = "apprise"
    #: Signed JSON to an address of one's own.
    WEBHOOK = "webhook"


class MessageState(StrEnum):
    """Where a message stands. The values are part of the API."""

    PENDING = "PENDING"
    SENT = "SENT"
    #: Given up after the last attempt.
    FAILED = "FAILED"
