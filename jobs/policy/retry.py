"""Whether and when a device is tried again within a run."""

from __future__ import annotations

import random
from dataclasses import dataclass

from backups.engine.errors import ErrorCategory

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
        ErrorCategory.CREDENTIAL_SET_ASIDE,
        ErrorCategory.WORKER_LOST,
        ErrorCategory.RUN_DEADLINE,
        # It has had its full time already.
        ErrorCategory.DEADLINE,
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
