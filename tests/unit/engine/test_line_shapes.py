"""Shapes of lines, and the narrowest rule that fits the variants of one."""

from __future__ import annotations

import re
import time
import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backups.engine.line_shapes import NoPattern, frame_of, rule_for, shape_of
from inventory.platforms.definition import Treatment


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ntp clock-period 17179869", "ntp clock-period 36029"),
        ("! Time: Mon Jan  5 09:00:00 2026", "! Time: Tue Feb  7 10:11:59 2027"),
        ("uptime 5d03h", "uptime 12d01h"),
        (" key <redacted:1a2b3c4d>", " key <redacted:99887766>"),
        (" cert MIIDdzCCAl+gAwIBAgIEAgAAuTANBg", " cert QUJDREVGR0hJSktMTU5PUFFSU1RVVg"),
    ],
)
def test_values_do_not_make_the_shape(one: str, other: str) -> None:
    assert shape_of(one) == shape_of(other)
    assert frame_of(one) == frame_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("ntp server 1", "ntp source 1"), (" mtu 9000", "mtu 9000"), ("state up", "state down")],
)
def test_words_make_the_shape(one: str, other: str) -> None:
    assert shape_of(one) != shape_of(other)


def test_lines_that_could_be_variants_share_a_frame() -> None:
    assert frame_of(" state  up") == frame_of(" state down")
    assert frame_of("state up") != frame_of("mode up")
    assert frame_of("state up") != frame_of("state: up")


@pytest.mark.parametrize(
    ("lines", "pattern"),
    [
        (["ntp clock-period 17", "ntp clock-period 9"], r"ntp clock-period (\d+)$"),
        ([" id 0x1f (a)", " id 0x2e (a)"], r" id (\w+) \(a\)$"),
        (["state up", "state down"], "state ([A-Za-z]+)$"),
        # The hour was the same in both, and the date; they will not stay so.
        (
            ["at 09:01:00 Mon Jan 5 2026", "at 09:02:00 Mon Jan 5 2026"],
            r"at (\d+:\d+:\d+ [A-Za-z]+ [A-Za-z]+) 5 (\d+)$",
        ),
        (["it's 1", "it's 2"], r"it\x27s (\d+)$"),
        (["x\t1  y", "x 2 y"], r"x([ \t]+\d+[ \t]+)y$"),
    ],
)
def test_the_narrowest_pattern(lines: list[str], pattern: str) -> None:
    if "x\t1" in lines[0]:
        with pytest.raises(NoPattern, match="no fixed bounds"):
            rule_for(lines, drop=False)
        return
    rule = rule_for(lines, drop=False)
    assert (rule.pattern, rule.treatment) == (pattern, Treatment.MASK)


def test_a_dropped_line_needs_no_groups() -> None:
    rule = rule_for(["! saved 1 ago", "! saved 2 ago"], drop=True)
    assert (rule.pattern, rule.treatment) == (r"! saved \d+ ago$", Treatment.DROP)
    assert rule_for(["banner on"], drop=True).pattern == "banner on$"


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([" 1 1", " 2 2"], "no fixed word"),
        (["same"], "nothing in the line differs"),
        (["state a", "state ä"], None),
    ],
)
def test_lines_without_a_rule(lines: list[str], words: str | None) -> None:
    if words is None:
        assert rule_for(lines, drop=False).pattern == r"state (\w+)$"
        return
    with pytest.raises(NoPattern, match=words):
        rule_for(lines, drop=False)


_VALUE = st.text(min_size=1, max_size=30).filter(lambda text: "\n" not in text)
_HOSTILE = st.one_of(
    st.from_regex(r"[ -~\t]{0,60}", fullmatch=True),
    st.builds("{} {}:{}".format, _VALUE, st.integers(), _VALUE),
    _VALUE,
)


@settings(deadline=None)
@given(st.lists(_HOSTILE, min_size=1, max_size=6, unique=True), st.booleans())
def test_a_rule_matches_what_it_was_made_of(lines: list[str], drop: bool) -> None:
    lines = [line for line in lines if line and frame_of(line) == frame_of(lines[0])]
    if not lines:
        return
    try:
        rule = rule_for(lines, drop=drop)
    except NoPattern:
        return
    pattern = re.compile(rule.pattern)
    assert all(pattern.match(line) for line in lines)
    entry = tomllib.loads(f"volatile = [{rule.toml()}]")["volatile"][0]
    assert entry == {"pattern": rule.pattern, "treatment": rule.treatment}
    assert bool(pattern.groups) is not drop


def test_patterns_are_linear() -> None:
    lines = [" ".join(f"w{n * k}" for k in range(60)) + " end of it" for n in (1, 2, 3)]
    pattern = re.compile(rule_for(lines, drop=True).pattern)
    hostile = "w1 " * 200_000
    begun = time.process_time()
    assert pattern.match(hostile) is None
    assert time.process_time() - begun < 1
