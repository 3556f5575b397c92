"""The failures of a run in groups: by cause, and by what devices have in common."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backups.engine.errors import ErrorCategory
from inventory.models import Device
from jobs.choices import ResultStatus
from jobs.models import JobRun
from jobs.policy import GroupBy
from jobs.selectors.failures import GroupNotFound, failure_group, failure_groups
from tests.factories import (
    CredentialFactory,
    DeviceResultFactory,
    JumpHostFactory,
    ZoneFactory,
)
from tests.support.failures import ended_run, failed_result, good_result, many_failed

pytestmark = pytest.mark.django_db

AUTHENTICATION = ErrorCategory.AUTHENTICATION
REFUSED = "the device refused the log-in"


def site_b_run() -> JobRun:
    """Of 11 devices, 4 time out and 4 refuse the credential of site b, 3 of these in zone b."""
    run = ended_run()
    site_a, site_b = (
        CredentialFactory.create(name="site-a"),
        CredentialFactory.create(name="site-b"),
    )
    zone = ZoneFactory.create(name="b")
    for number in range(3):
        good_result(run, credential=site_a, hostname=f"good{number}")
        failed_result(
            run, AUTHENTICATION, REFUSED, credential=site_b, hostname=f"b{number}", zone=zone
        )
    failed_result(run, AUTHENTICATION, REFUSED, credential=site_b, hostname="other")
    for number in range(4):
        failed_result(
            run,
            message=f"10.0.0.{number} port 22 did not answer in time",
            credential=site_a,
            hostname=f"far{number}",
            ip_address=f"10.0.0.{number}",
        )
    return run


def test_failures_of_one_cause_are_one_group_in_plain_words() -> None:
    authentication, timeouts = failure_groups(run=site_b_run())
    assert authentication.summary == (
        "4 authentication failures, all with credential 'site-b', 3 of them in zone 'b'"
    )
    assert authentication.hostnames == ("b0", "b1", "b2", "other")
    assert authentication.traits["zone"] == {"b": 3, "": 1}
    assert "lock the account" in authentication.what_to_do
    assert timeouts.count == 4
    assert timeouts.summary == "4 connections without an answer, all with credential 'site-a'"
    assert timeouts.message == "… port 22 did not answer in time"
    assert timeouts.example_message == "10.0.0.0 port 22 did not answer in time"
    assert timeouts.categories == {"connection_timeout": 4}
    assert timeouts.statuses == {"FAILED": 4}


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        (GroupBy.CREDENTIAL, {"site-a": 4, "site-b": 4}),
        (GroupBy.ZONE, {"": 5, "b": 3}),
        (GroupBy.PLATFORM, {"cisco_ios": 8}),
        (GroupBy.TAG, {"": 8}),
        (GroupBy.JUMP_HOST, {"": 8}),
    ],
)
def test_failures_are_counted_by_what_devices_share(by: GroupBy, expected: dict[str, int]) -> None:
    groups = failure_groups(run=site_b_run(), by=by)
    assert {group.key: group.count for group in groups} == expected
    assert groups == sorted(groups, key=lambda group: (-group.count, group.key))


def test_a_group_says_of_how_many_devices_it_is() -> None:
    run = site_b_run()
    by_credential = failure_group(run=run, by=GroupBy.CREDENTIAL, key="site-a")
    assert by_credential.summary == (
        "4 of 7 devices with credential 'site-a' failed: 4 connections without an answer"
    )
    assert by_credential.message == ""


def test_a_device_is_in_the_group_of_each_of_its_tags_and_jump_hosts() -> None:
    run = ended_run()
    first = JumpHostFactory.create(name="outer")
    second = JumpHostFactory.create(name="inner", via=first)
    failed_result(run, tags=["core", "site-b"], jump_host=second)
    failed_result(run, tags=["core"])
    JumpHostFactory.create(name="zz", tags=["far"])
    JumpHostFactory.create(name="far", tags=["far"])
    failed_result(run, tags=["far"])
    good_result(run, tags=["far"])
    tags = {group.key: group.count for group in failure_groups(run=run, by=GroupBy.TAG)}
    jumps = {group.key: group.count for group in failure_groups(run=run, by=GroupBy.JUMP_HOST)}
    assert tags == {"core": 2, "site-b": 1, "far": 1}
    assert jumps == {"": 1, "inner": 1, "outer": 1, "far": 1}
    by_far = failure_group(run=run, by=GroupBy.JUMP_HOST, key="far")
    assert by_far.summary.startswith("1 of 2 devices")


def test_skipped_suspect_and_errored_devices_are_failures_as_well() -> None:
    run = ended_run()
    for status, category in [
        (ResultStatus.SKIPPED, ErrorCategory.NO_CREDENTIAL),
        (ResultStatus.SUSPECT, ErrorCategory.INCOMPLETE_OUTPUT),
        (ResultStatus.ERRORED, ErrorCategory.STORE_FAILURE),
        (ResultStatus.CANCELLED, ErrorCategory.UNEXPECTED),
    ]:
        failed_result(run, category, status=status)
    statuses = [status for group in failure_groups(run=run) for status in group.statuses]
    assert sorted(statuses) == ["ERRORED", "SKIPPED", "SUSPECT"]


def test_a_deleted_device_stays_in_its_group() -> None:
    run = ended_run()
    failed_result(run, hostname="gone")
    Device.objects.filter(hostname="gone").delete()
    (group,) = failure_groups(run=run, by=GroupBy.PLATFORM)
    assert (group.key, group.hostnames) == ("", ("gone",))
    assert group.summary.startswith("1 of 1 device without a platform failed")


def test_a_run_without_failures_has_no_groups() -> None:
    run = ended_run()
    good_result(run)
    assert failure_groups(run=run) == []
    with pytest.raises(GroupNotFound, match="nothing failed in it"):
        failure_group(run=run, by=GroupBy.ZONE, key="b")


def test_an_unknown_group_is_answered_with_those_that_there_are() -> None:
    with pytest.raises(GroupNotFound, match="the first ones are '', 'b'"):
        failure_group(run=site_b_run(), by=GroupBy.ZONE, key="c")


def test_another_run_is_left_out() -> None:
    run = site_b_run()
    failed_result(ended_run(), hostname="elsewhere")
    DeviceResultFactory.create(run=run)
    names = {name for group in failure_groups(run=run) for name in group.hostnames}
    assert "elsewhere" not in names


def test_many_failures_cost_as_many_queries_as_one() -> None:
    JumpHostFactory.create()
    small, large = ended_run(), ended_run()
    failed_result(small)
    many_failed(large, 500, credential=CredentialFactory.create())
    with CaptureQueriesContext(connection) as few:
        failure_groups(run=small)
    with CaptureQueriesContext(connection) as many:
        (group,) = failure_groups(run=large)
    assert len(many) == len(few) <= 6
    assert (group.count, len(group.retry_ids)) == (500, 500)
