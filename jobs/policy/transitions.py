"""Which status may follow which, for runs and for their devices: the one place that knows.

Each move is carried out by conditional updates in ``jobs.services``, which ask for ``sources`` of
the move or for some of them. The diagrams in docs/architecture.md show the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from jobs.choices import (
    OPEN_RESULT_STATUSES,
    OPEN_RUN_STATUSES,
    ResultStatus,
    RunStatus,
)

_S = TypeVar("_S", RunStatus, ResultStatus)


@dataclass(frozen=True, slots=True)
class Move(Generic[_S]):
    """Something that happens to a run or to a device, from ``sources`` to one of ``targets``."""

    name: str
    sources: frozenset[_S]
    targets: frozenset[_S]


def _run(name: str, sources: set[RunStatus], *targets: RunStatus) -> Move[RunStatus]:
    return Move(name, frozenset(sources), frozenset(targets))


def _result(name: str, sources: set[ResultStatus], *targets: ResultStatus) -> Move[ResultStatus]:
    return Move(name, frozenset(sources), frozenset(targets))


RUN_START = _run("start", {RunStatus.PENDING}, RunStatus.RUNNING)
RUN_FIND_NOTHING = _run("find nothing", {RunStatus.PENDING}, RunStatus.COMPLETED_NO_DEVICES)
RUN_FINALISE = _run(
    "finalise",
    {RunStatus.RUNNING},
    RunStatus.COMPLETED_SUCCESS,
    RunStatus.COMPLETED_PARTIAL_FAILURE,
    RunStatus.COMPLETED_FAILURE,
    RunStatus.COMPLETED_NO_CREDENTIALS,
)
RUN_EXPIRE = _run(
    "expire",
    set(OPEN_RUN_STATUSES),
    RunStatus.COMPLETED_SUCCESS,
    RunStatus.COMPLETED_PARTIAL_FAILURE,
    RunStatus.COMPLETED_FAILURE,
)
RUN_FAIL = _run(
    "fail",
    set(OPEN_RUN_STATUSES),
    RunStatus.FAILED_CREDENTIAL_RESOLUTION,
    RunStatus.FAILED_DISPATCHER_ERROR,
    RunStatus.FAILED_UNEXPECTED,
)
RUN_CANCEL = _run("cancel", set(OPEN_RUN_STATUSES), RunStatus.CANCELLED)

RUN_MOVES = (RUN_START, RUN_FIND_NOTHING, RUN_FINALISE, RUN_EXPIRE, RUN_FAIL, RUN_CANCEL)

#: A worker takes the device: the only move that raises the attempt.
RESULT_CLAIM = _result("claim", {ResultStatus.PENDING, ResultStatus.RETRYING}, ResultStatus.RUNNING)
#: Left out before a worker has it, or while one has it and finds nothing to do, or between two
#: attempts, when its credential is set aside.
RESULT_SKIP = _result("skip", set(OPEN_RESULT_STATUSES), ResultStatus.SKIPPED)
RESULT_RECORD = _result(
    "record",
    {ResultStatus.RUNNING},
    ResultStatus.SUCCEEDED,
    ResultStatus.SUSPECT,
    ResultStatus.FAILED,
    ResultStatus.ERRORED,
)
RESULT_RETRY = _result("retry", {ResultStatus.RUNNING}, ResultStatus.RETRYING)
#: It waits for room under a limit, also when a worker has it already and may not log in.
RESULT_PARK = _result("park", set(OPEN_RESULT_STATUSES), ResultStatus.PENDING)
#: The worker died, or hands the device back; a device that was lost too often is given up.
RESULT_LOSE = _result("lose", {ResultStatus.RUNNING}, ResultStatus.PENDING, ResultStatus.ERRORED)
#: The run ends for a reason of our own before the device does.
RESULT_GIVE_UP = _result("give up", set(OPEN_RESULT_STATUSES), ResultStatus.ERRORED)
RESULT_CANCEL = _result("cancel", set(OPEN_RESULT_STATUSES), ResultStatus.CANCELLED)

RESULT_MOVES = (
    RESULT_CLAIM,
    RESULT_SKIP,
    RESULT_RECORD,
    RESULT_RETRY,
    RESULT_PARK,
    RESULT_LOSE,
    RESULT_GIVE_UP,
    RESULT_CANCEL,
)

#: What a person can have tried again after the end of a run.
RETRYABLE_STATUSES = frozenset({ResultStatus.FAILED, ResultStatus.ERRORED, ResultStatus.SUSPECT})
