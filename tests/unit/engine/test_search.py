"""Patterns of users are asked of each line alone, and refused in plain words."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from backups.engine.search import (
    LONGEST_LINE,
    LONGEST_PATTERN,
    MOST_LINES,
    FoundLine,
    PatternError,
    compile_pattern,
    pack,
    unpack,
)


def found(pattern: str, text: str, **options: bool) -> list[int]:
    """Numbers of the lines that match."""
    lines = compile_pattern(pattern, **options).find(text.encode(), limit=None)
    assert not lines.more
    return [line.line for line in lines.lines]


_SIMPLE = st.sampled_from(
    [
        "a",
        "b",
        "é",
        " ",
        ".",
        "[ab]",
        "[^a]",
        r"[^\n]",
        r"\s",
        r"\w",
        r"\bab",
        "(?:ab|b)",
        r"(?:\S\B)",
    ]
)
_REPEATED = st.builds("{}{}".format, _SIMPLE, st.sampled_from(["", "", "*", "+", "?", "{0,2}"]))
_SEQUENCES = st.lists(_REPEATED, min_size=1, max_size=5).map("".join)
PATTERNS = st.builds(
    "{}{}{}".format,
    st.sampled_from(["", "^"]),
    st.one_of(_SEQUENCES, st.builds("(?:{}|{})".format, _SEQUENCES, _SEQUENCES)),
    st.sampled_from(["", "$"]),
)
LINES = st.lists(st.text(alphabet="abAé \t", max_size=6), max_size=8)


@example("[^a]", ["a", "a"], False, True)
@example(r"a\sb", ["a", "b"], False, True)
@example("a", ["A"], True, False)
@example("^$", ["a", "", "b"], False, True)
@given(PATTERNS, LINES, st.booleans(), st.booleans())
def test_each_line_is_asked_alone(
    pattern: str, lines: list[str], ignore_case: bool, ends: bool
) -> None:
    text = "\n".join(lines) + ("\n" if ends and lines else "")
    # An unfinished last line that is empty is none.
    counted = lines if ends or not lines or lines[-1] else lines[:-1]
    # In RE2, too, words and blanks are those of ASCII.
    plain = re.compile(pattern, re.ASCII | (re.IGNORECASE if ignore_case else re.NOFLAG))
    expected = [number for number, line in enumerate(counted, start=1) if plain.search(line)]
    assert found(pattern, text, ignore_case=ignore_case) == expected
    compiled = compile_pattern(pattern, ignore_case=ignore_case)
    assert compiled.is_in(text.encode()) == bool(expected)


@given(st.text(alphabet="ab.*(^$[\\", min_size=1, max_size=3), LINES)
def test_plain_text_is_plain_text(text: str, lines: list[str]) -> None:
    lines = [line + text[: len(line)] for line in lines]
    expected = [number for number, line in enumerate(lines, start=1) if text in line]
    assert found(text, "".join(f"{line}\n" for line in lines), literal=True) == expected


@given(st.text())
def test_a_text_is_packed_and_unpacked(text: str) -> None:
    assert unpack(pack(text)).decode() == text


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("", "empty"),
        ("x" * (LONGEST_PATTERN + 1), "more than 1000 characters"),
        ("a\x00b", "NUL"),
        ("a\nb", "line end"),
        ("(", "'(' is no regular expression: missing ): ("),
        ("(?=a)b", "lookahead and lookbehind are not supported"),
        ("(?<!a)b", "lookahead and lookbehind are not supported"),
        (r"(a)\1", "backreferences are not supported"),
        ("(?P<n>a)(?P=n)", "backreferences are not supported"),
        ("a++", "possessive repetitions are not supported"),
        ("(?>a)", "atomic groups"),
        ("(?#a)b", "comments are not supported"),
        (r"a\Z", "'$' is the end of a line"),
        ("a{1001}", "repeat at most 1000 times"),
        ("a{2,1}", "'{2,1}' repeats from more to less"),
        ("((a{100}){100}){100}", "too large"),
        ("(?i)" + r"[\pL\pN]{500}[\pL\pN]{500}", "too large"),
        (r"\Aa", r"'\A' is not supported: lines are searched one by one"),
        (r"a\z", "one by one"),
        (r"a\nb", "one by one"),
        (r"\C", "one by one"),
        ("(?-m)^a", "'(?-m)' is not supported"),
        ("(?i-sm:^a)", "one by one"),
    ],
)
def test_patterns_that_are_refused(pattern: str, words: str) -> None:
    with pytest.raises(PatternError) as caught:
        compile_pattern(pattern)
    line = str(caught.value)
    assert words in line and "\n" not in line and len(line) < 200


@pytest.mark.parametrize("pattern", [r"\Q\A\E", r"\\A", r"[^\n]*\\A", r"[]\]]*\\A", "(?i)\\\\a"])
def test_what_only_looks_like_the_end_of_a_text_is_searched(pattern: str) -> None:
    assert found(pattern, "none\n\\A\n") == [2]


def test_plain_text_may_hold_what_patterns_may_not() -> None:
    assert found("(?=a)", "x(?=a)y\n", literal=True) == [1]


def test_lines_come_with_those_around_them() -> None:
    text = "one\ntwo\nthree\nfour\nfive"
    lines = compile_pattern("one|four").find(text.encode(), context=2)
    assert lines.lines == (
        FoundLine(line=1, text="one", before=(), after=("two", "three")),
        FoundLine(line=4, text="four", before=("two", "three"), after=("five",)),
    )


def test_no_more_lines_than_asked_for() -> None:
    lines = compile_pattern("x").find(b"x\n" * (MOST_LINES + 1))
    assert (len(lines.lines), lines.more) == (MOST_LINES, True)
    lines = compile_pattern("x").find(b"x\n" * MOST_LINES)
    assert (len(lines.lines), lines.more) == (MOST_LINES, False)


def test_of_a_long_line_the_part_that_matches_is_shown() -> None:
    lines = compile_pattern("needle").find(("é" * 5000 + "needle" + "x" * 5000).encode()).lines
    assert "needle" in lines[0].text and len(lines[0].text) == LONGEST_LINE + 2
    assert lines[0].text.startswith("…é") and lines[0].text.endswith("x…")
    short = compile_pattern("x").find(("x" * LONGEST_LINE).encode()).lines[0]
    assert short.text == "x" * LONGEST_LINE


def test_patterns_that_stop_other_engines_take_no_time() -> None:
    text = ("a" * 20_000 + "!\n").encode()
    begin = time.monotonic()
    assert not compile_pattern("^(a+)+$").is_in(text)
    assert not compile_pattern("^(a|a?)+$").is_in(text)
    assert time.monotonic() - begin < 2
