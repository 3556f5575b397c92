"""The arithmetic of limits, of the start ramp and of the lockout guard."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backups.engine.errors import DeviceError, ErrorCategory
from jobs.policy.limits import (
    LimitKind,
    keys_of_kind,
    limit_key,
    parse_key,
    start_slack_seconds,
    starts_due,
)
from jobs.policy.lockout import (
    ACCEPTED_EVERY,
    Standing,
    goes_on,
    is_acceptance,
    is_refusal,
    log_ins_allowed,
    sessions_allowed,
    set_aside_reason,
)

NOW = datetime(2026, 11, 30, 2, 0, tzinfo=UTC)


@given(st.sampled_from(LimitKind), st.lists(st.integers(1, 2**63), min_size=1, max_size=2))
def test_a_key_says_what_it_was_made_of(kind: LimitKind, ids: list[int]) -> None:
    key = limit_key(kind, *ids)
    assert parse_key(key) == (kind, tuple(ids))
    assert keys_of_kind([key], kind) == [key]
    assert len(key) <= 64


def test_kinds_are_told_apart_by_the_whole_word() -> None:
    keys = ["run:1", "trial:1:2", "log_in:1:2"]
    assert keys_of_kind(keys, LimitKind.RUN) == ["run:1"]
    assert not keys_of_kind(keys, LimitKind.TAG)


@pytest.mark.parametrize(
    ("rate", "wait", "due"),
    [(5, -100, 6), (5, 0, 6), (5, 0.5, 3), (5, 1.5, 0), (0.5, 0, 1), (0.01, 50, 0)],
)
def test_the_ramp_gives_out_what_falls_into_the_next_second(
    rate: float, wait: float, due: int
) -> None:
    assert starts_due(rate=rate, wait_seconds=wait, horizon_seconds=1) == due


@given(st.floats(0.01, 1000))
def test_a_start_is_never_a_whole_interval_early(rate: float) -> None:
    assert 0 < start_slack_seconds(rate=rate) <= 0.5 / rate


@given(
    st.integers(1, 10),
    st.lists(st.sampled_from(["refused", "unanswered", "begin"]), max_size=60),
)
def test_on_probation_refusals_and_open_log_ins_never_exceed_the_limit(
    limit: int, events: list[str]
) -> None:
    refusals = unanswered = open_log_ins = 0
    for event in events:
        allowed = log_ins_allowed(Standing(refusals=refusals, unanswered=unanswered), limit=limit)
        assert allowed is not None
        if event == "begin" and open_log_ins < allowed:
            open_log_ins += 1
        elif event != "begin" and open_log_ins:
            open_log_ins -= 1
            refusals += event == "refused"
            unanswered += event == "unanswered"
        assert refusals + open_log_ins <= limit


def test_silence_makes_room_for_more_sessions_and_never_for_log_ins() -> None:
    quiet = Standing(refusals=1, unanswered=40)
    assert (sessions_allowed(quiet, limit=3), log_ins_allowed(quiet, limit=3)) == (42, 2)
    refused = Standing(refusals=3, unanswered=40)
    assert (sessions_allowed(refused, limit=3), log_ins_allowed(refused, limit=3)) == (0, 0)
    assert sessions_allowed(Standing(is_proven=True, refusals=2), limit=3) is None
    aside = Standing(is_proven=True, is_set_aside=True)
    assert sessions_allowed(aside, limit=3) == 0


def test_refusals_are_in_a_row_while_nobody_accepted_in_between() -> None:
    assert not goes_on(refusing_since=None, accepted_at=None)
    assert goes_on(refusing_since=NOW, accepted_at=None)
    assert goes_on(refusing_since=NOW, accepted_at=NOW - 2 * ACCEPTED_EVERY)
    assert not goes_on(refusing_since=NOW, accepted_at=NOW + timedelta(seconds=1))
    # It may stand for one that came later and was not written down.
    assert not goes_on(refusing_since=NOW, accepted_at=NOW - ACCEPTED_EVERY / 2)


def test_only_the_device_itself_refuses_its_credential() -> None:
    at_device = DeviceError(ErrorCategory.AUTHENTICATION, "no")
    assert at_device.jump_host is None
    assert is_refusal(ErrorCategory.AUTHENTICATION, at_jump_host=False)
    assert not is_refusal(ErrorCategory.AUTHENTICATION, at_jump_host=True)
    assert not is_refusal(ErrorCategory.ENABLE, at_jump_host=False)
    assert is_acceptance(ErrorCategory.ENABLE, at_jump_host=False)
    assert not is_acceptance(ErrorCategory.READ_TIMEOUT, at_jump_host=False)


def test_the_reason_names_the_devices_and_fits_its_column() -> None:
    assert set_aside_reason(["a", "b"]) == "2 devices in a row refused it: a, b"
    assert len(set_aside_reason(["x" * 255] * 3)) == 300
