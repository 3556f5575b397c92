"""The parts of the engine against the plain way to do the same."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backups.engine.redaction import Redactor, word_scan
from backups.engine.redaction.matcher import Matcher
from backups.engine.redaction.sections import Sections
from backups.engine.redaction.word_scan import WordScan
from inventory.platforms import get_platform, redaction_vocabulary
from inventory.platforms.definition import RedactionRule

REDACTOR = Redactor(b"a-key-for-the-tests-of-redaction")
IOS = get_platform("cisco_ios")
WORDS = ("key", "key chain", "chain", "password", "pass", "$9$", "ss")

LETTERS = st.text("keyKEYchainpasword $9\nİé\ud800", max_size=80)
INDENTED = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from(["a", "/b", "! c", "#", "", "d {"])), max_size=25
).map(lambda parts: [" " * indent + body for indent, body in parts])


@settings(max_examples=300, deadline=None)
@given(text=LETTERS, piece=st.integers(10, 40))
def test_the_scan_finds_what_a_pattern_of_all_words_finds(text: str, piece: int) -> None:
    longest_first = sorted(WORDS, key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE | re.ASCII)
    expected = [
        (number, match.start(), match.group().lower())
        for number, line in enumerate(text.split("\n"))
        for match in pattern.finditer(line)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(word_scan, "PIECE", piece)
        found = [
            (number, start, WORDS[index])
            for number, hits in WordScan(WORDS).lines(text, 100)
            for start, index in hits
        ]
    assert found == expected


@settings(max_examples=300, deadline=None)
@given(text=LETTERS, piece=st.integers(10, 40), sign=st.sampled_from("kn 9$"))
def test_the_scan_leaves_out_what_a_sign_says_nothing_behind(
    text: str, piece: int, sign: str
) -> None:
    followers = {index: None if word == "ss" else {sign} for index, word in enumerate(WORDS)}
    scan = WordScan(WORDS)
    lines = text.split("\n")
    expected = [
        (number, start, index)
        for number, hits in scan.lines(text, 100)
        for start, index in hits
        if WORDS[index] == "ss" or lines[number][start + len(WORDS[index]) :][:1].lower() == sign
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(word_scan, "PIECE", piece)
        found = [
            (number, start, index)
            for number, hits in scan.lines(text, 100, followers)
            for start, index in hits
        ]
    assert found == expected


def test_the_scan_counts_all_hits_of_a_line_that_may_have_too_many() -> None:
    scan = WordScan(("ab",))
    followers = {0: {" "}}
    assert [*scan.lines("ababab\nab \nabab", 5, followers)] == [(1, [(0, 0)])]
    ((number, hits), *_) = scan.lines("\nababababab\nab ", 5, followers)
    assert (number, len(hits)) == (1, 5)


def test_the_scan_names_no_more_hits_of_a_line_than_asked_for() -> None:
    ((number, hits), (_, other)) = WordScan(WORDS).lines("x\n" + "key " * 9 + "\nkey", 4)
    assert (number, len(hits), len(other)) == (1, 4, 1)


def straight(lines: list[str]) -> list[int]:
    """The line that opens the section of each line, with a stack of the open ones."""
    parents: list[int] = []
    open_lines: list[tuple[int, int]] = []
    path = -1
    for number, line in enumerate(lines):
        body = line.lstrip()
        if not body or body[0] in "!#":
            parents.append(open_lines[-1][1] if open_lines else -1)
            continue
        indent = len(line) - len(body)
        while open_lines and open_lines[-1][0] >= indent:
            open_lines.pop()
        if indent == 0 and body[0] == "/":
            path = number
        parents.append(open_lines[-1][1] if open_lines else path if path != number else -1)
        open_lines.append((indent, number))
    return parents


@settings(max_examples=300, deadline=None)
@given(lines=INDENTED, data=st.data())
def test_sections_are_those_of_a_walk_from_the_top(lines: list[str], data: st.DataObject) -> None:
    named = [f"{line}n{number}" if line.strip() else line for number, line in enumerate(lines)]
    parents = straight(named)
    sections = Sections(named, "\n".join(named))
    for number in data.draw(st.permutations(range(len(named)))):
        inmost = sections.around(number).headers.split("\n")[0]
        parent = parents[number]
        # A path has no section of its own around it, whatever stands above.
        expected = named[parent].strip() if parent >= 0 else ""
        assert inmost == expected


@settings(max_examples=100, deadline=None)
@given(
    order=st.lists(st.sampled_from(["line vty 0 4", "interface Vlan1", "router isis"]), min_size=2)
)
def test_a_repeated_line_is_judged_in_each_section_anew(order: list[str]) -> None:
    line = " password two words"
    text = "".join(f"{header}\n{line}\n" for header in order)
    alone = "".join(REDACTOR.redact(IOS, f"{header}\n{line}\n").text for header in order)
    assert REDACTOR.redact(IOS, text).text == alone
    assert len(set(REDACTOR.redact(IOS, text).text.split("\n"))) >= len(set(order)) + 1


@pytest.mark.parametrize("word", ["key", "key1", "key12", "on key", "on key1", "ke"])
@pytest.mark.parametrize("follower", [" ", "1", "12"])
def test_a_word_is_asked_that_begins_inside_the_hit_of_another(word: str, follower: str) -> None:
    name = f"key{follower}".strip()
    hidden = RedactionRule(name="hidden", words=("on key", "n k"), line=re.compile("never"))
    asked = RedactionRule(name="asked", words=(word,))
    matcher = Matcher([hidden, asked], redaction_vocabulary(), ())
    line = f"option {name} elm-tree"
    found = matcher.findings([line], line).lines.values()
    starts = [secret.start for findings in found for secret in findings.secrets]
    is_there = re.search(rf"(?<!\w){word}(?!\w)", line) is not None
    assert starts == ([line.index("elm-tree")] if is_there else [])
