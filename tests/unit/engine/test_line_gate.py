"""Lines found in one pass are those that are found by asking each of them."""

from __future__ import annotations

import re

import pytest
import re2
from hypothesis import example, given
from hypothesis import strategies as st

from backups.engine.line_gate import LineGate
from inventory.platforms import get_platform, platform_names

#: Forms that look over line ends, at them, back, and such that RE2 does not know.
PATTERNS = (
    r"foo",
    r"\s+bar",
    r"! (?:one|two)",
    r"a[^x]*z",
    r"(?:b|\s)*c$",
    r"\s*$",
    r"x(?=y)",
    r"\Aq",
    r"(?i:NTP) \d+",
)
TEXTS = st.lists(
    st.sampled_from(["foo", " bar", "", "  ", "! one", "a", "z", "b c", "xy", "q", "ntp 12", "ä 1"])
).map("\n".join)


def asked(patterns: list[re.Pattern[str]], text: str) -> list[tuple[int, int]]:
    """The lines that match, each asked by itself."""
    found, start = [], 0
    for line in text.split("\n"):
        if any(pattern.match(line) for pattern in patterns):
            found.append((start, start + len(line)))
        start += len(line) + 1
    return found


@given(sources=st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=4, unique=True), text=TEXTS)
@example(sources=[r"\s+bar", "foo"], text="\n\n bar\nfoo\n")
@example(sources=[r"a[^x]*z", "foo"], text="a\nfoo\nz\nfoo")
@example(sources=["foo"], text="fooä\n1\nfoo")
def test_the_same_lines_as_by_asking_each(sources: list[str], text: str) -> None:
    patterns = [re.compile(source, re.MULTILINE) for source in sources]
    assert list(LineGate(patterns).spans(text)) == asked(patterns, text)


@pytest.mark.parametrize("name", platform_names())
def test_the_patterns_of_every_platform_are_looked_for_in_one_pass(name: str) -> None:
    platform = get_platform(name)
    volatile = [line.pattern for line in platform.volatile]
    for patterns in (volatile, platform.error_patterns, platform.never_in_config):
        for pattern in patterns:
            assert r"\A" not in pattern.pattern
            re2.compile(pattern.pattern)
