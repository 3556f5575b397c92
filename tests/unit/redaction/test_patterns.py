"""What is told of patterns from how they are written holds for what they match."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backups.engine.redaction.patterns import LINE_BEGIN, any_of, begins_with
from backups.engine.redaction.prose import ProseReader
from inventory.platforms import all_redaction_rules, redaction_vocabulary

VOCABULARY = redaction_vocabulary()
RULES = all_redaction_rules()
LINES = sorted({rule.line.pattern for rule in RULES if rule.line is not None})
ANCHORED = [source for source in LINES if begins_with(source, LINE_BEGIN)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (r"^\s*key\b", True),
        (r"^(?:a|b)c", True),
        (r"^[|]a\|b", True),
        (r"^[]|]a", True),
        (r"^a|b", False),
        (r"a|^b", False),
        (r"^(?:a(?:b|c)|d)|e", False),
        (r"(?:^a)", False),
        (r"\^a", False),
        (r"", False),
    ],
)
def test_a_pattern_begins_a_line_if_nothing_stands_beside_its_begin(
    source: str, expected: bool
) -> None:
    assert begins_with(source, LINE_BEGIN) is expected


def test_most_conditions_on_lines_are_told_to_begin_them() -> None:
    assert len(ANCHORED) > len(LINES) / 2


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_pattern_told_to_begin_lines_is_found_nowhere_else(data: st.DataObject) -> None:
    pattern = re.compile(data.draw(st.sampled_from(ANCHORED)), re.IGNORECASE | re.MULTILINE)
    line = data.draw(st.text("x \t#", max_size=9)) + data.draw(st.from_regex(pattern))
    line = line.replace("\n", " ")
    found = pattern.search(line)
    assert (found is None) is (pattern.match(line) is None)
    assert found is None or found.start() == 0


@settings(max_examples=100, deadline=None)
@given(text=st.text("abc1 ", max_size=6))
def test_joined_patterns_match_where_one_of_them_does(text: str) -> None:
    patterns = [re.compile(source) for source in (r"a\d", r"(?i:b) ", r"a(?=b)|c")]
    joined = any_of(patterns)
    assert joined is not None
    assert bool(joined.match(text)) is any(pattern.match(text) for pattern in patterns)


@pytest.mark.parametrize(
    "patterns",
    [
        [],
        [re.compile("a"), re.compile("b", re.IGNORECASE)],
        [re.compile(r"(a)\1"), re.compile("b")],
        [re.compile("(?i)a"), re.compile("b", re.IGNORECASE)],
    ],
)
def test_patterns_that_cannot_be_joined_are_left_alone(patterns: list[re.Pattern[str]]) -> None:
    assert any_of(patterns) is None


@pytest.mark.parametrize("source", VOCABULARY.prose)
def test_no_free_text_opens_without_one_of_the_signs(source: str) -> None:
    pattern = re.compile(source)
    signs = VOCABULARY.prose_signs

    @settings(max_examples=25, deadline=None)
    @given(text=st.from_regex(pattern))
    def check(text: str) -> None:
        assert not text.isascii() or any(sign in text.lower() for sign in signs)

    check()


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_free_text_opens_where_one_of_the_patterns_alone_is_found_first(
    data: st.DataObject,
) -> None:
    chosen = data.draw(st.sampled_from(VOCABULARY.prose))
    before = data.draw(st.sampled_from(["", " ", "set x ", "name=", "- "]))
    line = (before + data.draw(st.from_regex(chosen))).replace("\n", " ")
    found = re.compile("|".join(f"(?:{source})" for source in VOCABULARY.prose)).search(line)
    spans = ProseReader(VOCABULARY).spans(line)
    assert (spans[0][0] if spans else None) == (found.start() if found else None)
