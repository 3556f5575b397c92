"""Decisions about runs and devices, as pure functions."""

from jobs.policy.outcome import (
    CONNECTION_CATEGORIES,
    REACHED_CATEGORIES,
    failure_status,
    final_status,
)
from jobs.policy.retry import MAX_LOSSES, NEVER_RETRIED, RetryLimits, retry_delay

__all__ = [
    "CONNECTION_CATEGORIES",
    "MAX_LOSSES",
    "NEVER_RETRIED",
    "REACHED_CATEGORIES",
    "RetryLimits",
    "failure_status",
    "final_status",
    "retry_delay",
]
