"""Decisions about runs and devices, as pure functions: retry, final status, who is at fault."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

from backups.engine.errors import OUR_SIDE, ErrorCategory
from jobs.choices import ResultStatus, RunStatus

#: Trying again would lock an account out, talk to an impostor, or fail the same way.
NEVER_RETRIED = frozenset(
    {
        ErrorCategory.AUTHENTICATION,
        ErrorCategory.ENABLE,
        ErrorCategory.HOST_KEY,
        ErrorCategory.REDACTION_FAILURE,
        ErrorCategory.COMMAND_REJECTED,
        ErrorCategory.ADDRESS_REFUSED,
        ErrorCategory.OUTPUT_TOO_LARGE,
        ErrorCategory.UNKNOWN_PLATFORM,
        ErrorCategory.CIRCUIT_OPEN,
        ErrorCategory.NO_CREDENTIAL,
        ErrorCategory.CREDENTIAL_FAILURE,
        ErrorCategory.WORKER_LOST,
        ErrorCategory.RUN_DEADLINE,
        # It has had its full time already.
        ErrorCategory.DEADLINE,
    }
)

#: The device could not be talked to at all. A name that cannot be resolved is left out: name
#: servers are on our side.
CONNECTION_CATEGORIES = frozenset(
    {
        ErrorCategory.CONNECTION_REFUSED,
        ErrorCategory.CONNECTION_TIMEOUT,
        ErrorCategory.SSH_NEGOTIATION,
    }
)

#: The device was talked to, whatever came of it.
REACHED_CATEGORIES = frozenset(
    {
        ErrorCategory.HOST_KEY,
        ErrorCategory.AUTHENTICATION,
        ErrorCategory.ENABLE,
        ErrorCategory.READ_TIMEOUT,
        ErrorCategory.SESSION_DROPPED,
        ErrorCategory.OUTPUT_TOO_LARGE,
        ErrorCategory.COMMAND_REJECTED,
    }
)

#: The third loss of the worker that holds one device ends that device.
MAX_LOSSES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryLimits:
    """How often and how fast one device is tried again within a run. Times in seconds."""

    #: Sessions in total, the first included.
    attempts: int
    backoff_seconds: float
    backoff_max_seconds: float


def retry_delay(
    *, category: ErrorCategory, attempt: int, limits: RetryLimits, jitter: float | None = None
) -> float | None:
    """Seconds to wait before attempt ``attempt + 1``, or None when there shall be none.

    ``attempt`` is the one that just failed, the first is 1. The wait doubles with each attempt up
    to the maximum and is then drawn between half and all of it (``jitter`` in 0..1 fixes the draw),
    so that devices that failed together do not come back together.
    """
    if category in NEVER_RETRIED or attempt >= limits.attempts:
        return None
    draw = random.random() if jitter is None else jitter  # noqa: S311 - spreads load, no secret
    doubled = limits.backoff_seconds * float(2 ** (attempt - 1))
    return min(limits.backoff_max_seconds, doubled) * (0.5 + draw / 2)


def failure_status(category: ErrorCategory) -> ResultStatus:
    """ERRORED when our side is at fault, FAILED when the device or the network is."""
    return ResultStatus.ERRORED if category in OUR_SIDE else ResultStatus.FAILED


def final_status(counts: Mapping[ResultStatus, int]) -> RunStatus:
    """The status of a run whose devices ended as ``counts`` says.

    A skipped device was not backed up: a run with one is no success. Raises ValueError while a
    device is still open.
    """
    open_count = sum(
        counts.get(status, 0)
        for status in (ResultStatus.PENDING, ResultStatus.RUNNING, ResultStatus.RETRYING)
    )
    if open_count:
        raise ValueError(f"{open_count} devices have not ended")
    total = sum(counts.values())
    succeeded = counts.get(ResultStatus.SUCCEEDED, 0)
    if total == 0:
        return RunStatus.COMPLETED_NO_DEVICES
    if succeeded == total:
        return RunStatus.COMPLETED_SUCCESS
    if succeeded:
        return RunStatus.COMPLETED_PARTIAL_FAILURE
    return RunStatus.COMPLETED_FAILURE
