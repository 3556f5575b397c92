"""What an error or the devices of a run amount to."""

from __future__ import annotations

from collections.abc import Mapping

from backups.engine.errors import OUR_SIDE, ErrorCategory
from jobs.choices import OPEN_RESULT_STATUSES, ResultStatus, RunStatus

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


def failure_status(category: ErrorCategory) -> ResultStatus:
    """ERRORED when our side is at fault, FAILED when the device or the network is."""
    return ResultStatus.ERRORED if category in OUR_SIDE else ResultStatus.FAILED


def final_status(counts: Mapping[ResultStatus, int]) -> RunStatus:
    """The status of a run whose devices ended as ``counts`` says.

    A skipped device was not backed up: a run with one is no success. Raises ValueError while a
    device is still open.
    """
    open_count = sum(counts.get(status, 0) for status in OPEN_RESULT_STATUSES)
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
