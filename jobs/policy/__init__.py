"""Decisions about runs and devices, as pure functions."""

from jobs.policy.advice import ADVICE, Advice, advice_for
from jobs.policy.causes import (
    TRAITS,
    Cause,
    GroupBy,
    Share,
    cause_in_words,
    cause_of,
    telling_shares,
    trait_group_in_words,
    trait_in_words,
)
from jobs.policy.outcome import (
    CONNECTION_CATEGORIES,
    REACHED_CATEGORIES,
    failure_status,
    final_status,
)
from jobs.policy.retry import MAX_LOSSES, NEVER_RETRIED, RetryLimits, retry_delay

__all__ = [
    "ADVICE",
    "CONNECTION_CATEGORIES",
    "MAX_LOSSES",
    "NEVER_RETRIED",
    "REACHED_CATEGORIES",
    "TRAITS",
    "Advice",
    "Cause",
    "GroupBy",
    "RetryLimits",
    "Share",
    "advice_for",
    "cause_in_words",
    "cause_of",
    "failure_status",
    "final_status",
    "retry_delay",
    "telling_shares",
    "trait_group_in_words",
    "trait_in_words",
]
