"""One cause behind many messages, and what tells something about it."""

from __future__ import annotations

import pytest

from backups.engine.errors import ErrorCategory
from jobs.policy import (
    ADVICE,
    GroupBy,
    Share,
    advice_for,
    cause_in_words,
    cause_of,
    telling_shares,
    trait_group_in_words,
)


def cause(message: str, *names: str) -> str:
    return cause_of(category="connection_timeout", message=message, names=names).message


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("10.0.0.7 port 22 did not answer in time", "10.0.0.9 port 22 did not answer in time"),
        ("2001:db8::1 port 22 refused it", "::ffff:10.0.0.9 port 22 refused it"),
        ("fe80::1%eth0 port 22 refused it", "192.0.2.1 port 22 refused it"),
        (
            "left out until 2026-11-30 03:00 UTC after 5 failures in a row",
            "left out until 2026-12-01 13:59 UTC after 12 failures in a row",
        ),
        (
            "The output has 23 % of the size of the last good one (500 of 2000 bytes).",
            "The output has 4 % of the size of the last good one (1 of 25 bytes).",
        ),
        ("the key SHA256:abcDEF+/= is not known", "the key SHA256:0123x+/= is not known"),
    ],
)
def test_what_differs_by_device_is_no_cause_of_its_own(one: str, other: str) -> None:
    assert cause(one) == cause(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("10.0.0.7 port 22 refused it", "10.0.0.7 port 23 refused it"),
        ("jump host 'j-1': no answer", "jump host 'j-2': no answer"),
        ("it offers only old algorithms (sha1)", "it offers only old algorithms (sha256)"),
        ("the port is closed", "the port is filtered"),
    ],
)
def test_what_differs_by_cause_stays(one: str, other: str) -> None:
    assert cause(one) != cause(other)


def test_the_names_of_the_device_give_way_but_not_inside_of_words() -> None:
    assert cause("'sw1.example' cannot be resolved", "sw1", "sw1.example") == (
        "'…' cannot be resolved"
    )
    assert cause("a refused b", "a") == "… refused b"
    assert cause("sw1-spare and sw1", "sw1", "") == "sw1-spare and …"


def test_the_key_is_the_same_for_the_same_cause_and_names_the_category() -> None:
    first, second = (
        cause_of(category="dns_failure", message=f"'{name}' has no address", names=[name])
        for name in ("a.example", "b.example")
    )
    assert first == second and first.key == second.key
    assert first.key.startswith("dns_failure:")
    other = cause_of(category="dns_failure", message="the server is down", names=[])
    assert other.key != first.key
    assert cause_of(category="", message="", names=[]).key.startswith("none:")


def share(trait: GroupBy, name: str, count: int, run_count: int) -> Share:
    return Share(trait=trait, name=name, count=count, run_count=run_count)


def test_only_a_trait_that_sets_the_failures_apart_tells_something() -> None:
    shares = [
        share(GroupBy.TAG, "everywhere", 37, 100),
        share(GroupBy.PLATFORM, "cisco_ios", 27, 40),
        share(GroupBy.ZONE, "b", 31, 31),
        share(GroupBy.CREDENTIAL, "site-b", 37, 40),
        share(GroupBy.JUMP_HOST, "", 37, 60),
    ]
    telling = telling_shares(shares=shares, group_count=37, run_total=100)
    assert [one.name for one in telling] == ["site-b", "b"]
    assert cause_in_words(category="authentication", count=37, shares=telling) == (
        "37 authentication failures, all with credential 'site-b', 31 of them in zone 'b'"
    )


def test_of_one_trait_the_most_common_and_then_the_rarest_name_is_told() -> None:
    shares = [
        share(GroupBy.TAG, "wide", 8, 90),
        share(GroupBy.TAG, "narrow", 8, 9),
        share(GroupBy.TAG, "few", 6, 6),
    ]
    (only,) = telling_shares(shares=shares, group_count=8, run_total=100)
    assert only.name == "narrow"


def test_a_single_failure_has_nothing_in_common() -> None:
    shares = [share(GroupBy.ZONE, "b", 1, 1)]
    assert telling_shares(shares=shares, group_count=1, run_total=9) == []
    assert cause_in_words(category="dns_failure", count=1, shares=[]) == "1 unresolved name"


def test_a_trait_is_told_with_its_kinds_of_failures() -> None:
    words = trait_group_in_words(
        trait=GroupBy.ZONE,
        name="b",
        count=31,
        run_count=40,
        categories={"authentication": 30, "session_dropped": 1},
    )
    assert words == (
        "31 of 40 devices in zone 'b' failed: 30 authentication failures, 1 dropped session"
    )
    alone = trait_group_in_words(
        trait=GroupBy.ZONE, name="", count=1, run_count=1, categories={"": 1}
    )
    assert alone == "1 of 1 device without a zone failed: 1 failure"


def test_there_is_advice_for_every_category() -> None:
    assert set(ADVICE) == set(ErrorCategory)
    for advice in ADVICE.values():
        assert advice.one != advice.many
        assert advice.what_to_do and not advice.what_to_do.endswith(".")


def test_a_category_of_another_version_is_a_plain_failure() -> None:
    assert advice_for("made_up").counted(2) == "2 failures"
    assert advice_for("made_up").what_to_do
