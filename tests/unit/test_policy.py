"""Retry, blame and final status as tables, so that a change of a decision is seen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backups.engine.errors import ErrorCategory
from jobs.choices import FINAL_RESULT_STATUSES, FINAL_RUN_STATUSES, ResultStatus, RunStatus
from jobs.policy import RetryLimits, failure_status, final_status, retry_delay

LIMITS = RetryLimits(attempts=3, backoff_seconds=10, backoff_max_seconds=15)

#: Category: is it tried again, and whose side is it.
DECISIONS = {
    ErrorCategory.DNS_FAILURE: (True, ResultStatus.FAILED),
    ErrorCategory.ADDRESS_REFUSED: (False, ResultStatus.FAILED),
    ErrorCategory.CONNECTION_REFUSED: (True, ResultStatus.FAILED),
    ErrorCategory.CONNECTION_TIMEOUT: (True, ResultStatus.FAILED),
    ErrorCategory.HOST_KEY: (False, ResultStatus.FAILED),
    ErrorCategory.SSH_NEGOTIATION: (True, ResultStatus.FAILED),
    ErrorCategory.AUTHENTICATION: (False, ResultStatus.FAILED),
    ErrorCategory.ENABLE: (False, ResultStatus.FAILED),
    ErrorCategory.JUMP_HOST: (True, ResultStatus.FAILED),
    ErrorCategory.READ_TIMEOUT: (True, ResultStatus.FAILED),
    ErrorCategory.DEADLINE: (False, ResultStatus.FAILED),
    ErrorCategory.SESSION_DROPPED: (True, ResultStatus.FAILED),
    ErrorCategory.OUTPUT_TOO_LARGE: (False, ResultStatus.FAILED),
    ErrorCategory.COMMAND_REJECTED: (False, ResultStatus.FAILED),
    ErrorCategory.INCOMPLETE_OUTPUT: (True, ResultStatus.FAILED),
    ErrorCategory.UNKNOWN_PLATFORM: (False, ResultStatus.ERRORED),
    ErrorCategory.CIRCUIT_OPEN: (False, ResultStatus.FAILED),
    ErrorCategory.NO_CREDENTIAL: (False, ResultStatus.FAILED),
    ErrorCategory.CREDENTIAL_FAILURE: (False, ResultStatus.ERRORED),
    ErrorCategory.SECRET_UNAVAILABLE: (True, ResultStatus.ERRORED),
    ErrorCategory.CREDENTIAL_SET_ASIDE: (False, ResultStatus.FAILED),
    ErrorCategory.REDACTION_FAILURE: (False, ResultStatus.ERRORED),
    ErrorCategory.STORE_FAILURE: (True, ResultStatus.ERRORED),
    ErrorCategory.WORKER_LOST: (False, ResultStatus.ERRORED),
    ErrorCategory.RUN_DEADLINE: (False, ResultStatus.ERRORED),
    ErrorCategory.UNEXPECTED: (True, ResultStatus.ERRORED),
}


def test_the_table_knows_every_category() -> None:
    assert set(DECISIONS) == set(ErrorCategory)


@pytest.mark.parametrize("category", ErrorCategory)
def test_what_is_tried_again_and_who_is_to_blame(category: ErrorCategory) -> None:
    again, status = DECISIONS[category]
    delay = retry_delay(category=category, attempt=1, limits=LIMITS)
    assert (delay is not None) == again
    assert failure_status(category) == status


def test_attempts_are_limited() -> None:
    category = ErrorCategory.CONNECTION_TIMEOUT
    assert retry_delay(category=category, attempt=2, limits=LIMITS) is not None
    assert retry_delay(category=category, attempt=3, limits=LIMITS) is None
    once = RetryLimits(attempts=1, backoff_seconds=1, backoff_max_seconds=1)
    assert retry_delay(category=category, attempt=1, limits=once) is None


def test_the_wait_doubles_up_to_the_maximum() -> None:
    limits = RetryLimits(attempts=9, backoff_seconds=10, backoff_max_seconds=25)
    waits = [
        retry_delay(
            category=ErrorCategory.DNS_FAILURE, attempt=attempt, limits=limits, jitter=jitter
        )
        for attempt in (1, 2, 3, 8)
        for jitter in (0.0, 1.0)
    ]
    assert waits == [5, 10, 10, 20, 12.5, 25, 12.5, 25]


@given(st.integers(1, 8))
def test_the_drawn_wait_stays_in_its_bounds(attempt: int) -> None:
    limits = RetryLimits(attempts=9, backoff_seconds=1, backoff_max_seconds=60)
    delay = retry_delay(category=ErrorCategory.DNS_FAILURE, attempt=attempt, limits=limits)
    longest = min(60, 2 ** (attempt - 1))
    assert delay is not None and longest / 2 <= delay <= longest


@pytest.mark.parametrize(
    ("counts", "status"),
    [
        ({}, RunStatus.COMPLETED_NO_DEVICES),
        ({ResultStatus.SUCCEEDED: 3}, RunStatus.COMPLETED_SUCCESS),
        ({ResultStatus.FAILED: 1}, RunStatus.COMPLETED_FAILURE),
        ({ResultStatus.ERRORED: 1}, RunStatus.COMPLETED_FAILURE),
        ({ResultStatus.SUSPECT: 1}, RunStatus.COMPLETED_FAILURE),
        ({ResultStatus.SKIPPED: 1}, RunStatus.COMPLETED_FAILURE),
        ({ResultStatus.SUCCEEDED: 1, ResultStatus.FAILED: 0}, RunStatus.COMPLETED_SUCCESS),
    ],
)
def test_final_status(counts: dict[ResultStatus, int], status: RunStatus) -> None:
    assert final_status(counts) == status


@given(st.dictionaries(st.sampled_from(sorted(FINAL_RESULT_STATUSES)), st.integers(1, 9)))
def test_one_device_that_did_not_succeed_is_no_success(counts: dict[ResultStatus, int]) -> None:
    status = final_status(counts)
    assert status in FINAL_RUN_STATUSES
    assert (status == RunStatus.COMPLETED_SUCCESS) == (set(counts) == {ResultStatus.SUCCEEDED})
    if len(counts) > 1 and ResultStatus.SUCCEEDED in counts:
        assert status == RunStatus.COMPLETED_PARTIAL_FAILURE


@pytest.mark.parametrize(
    "status", [ResultStatus.PENDING, ResultStatus.RUNNING, ResultStatus.RETRYING]
)
def test_an_open_device_has_no_final_status(status: ResultStatus) -> None:
    with pytest.raises(ValueError, match="2 devices have not ended"):
        final_status({status: 2, ResultStatus.SUCCEEDED: 1})
