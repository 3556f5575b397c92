"""Finds the secrets of a text: one scan for words, then the rules of these words."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import NamedTuple

from backups.engine.redaction import prose
from backups.engine.redaction.findings import Findings, LineFindings, Secret, echoes
from backups.engine.redaction.line_judge import LineJudge, LineState
from backups.engine.redaction.sections import Sections
from backups.engine.redaction.tokens import REDACTED_LINE
from backups.engine.redaction.values import ValueReader
from backups.engine.redaction.word_rules import Word, Words
from backups.engine.redaction.word_scan import WordScan
from inventory.platforms.definition import RedactionRule, TokenKind, ValueKind, Vocabulary

#: A line with more words of the rules than this is no configuration; all of it is taken out.
MOST_WORDS = 10_000
#: How many lines a value of the kind ``below`` reaches.
LINES_BELOW = 2


class Matcher:
    """A set of rules, ready to be used on many texts. Safe to share between threads."""

    def __init__(
        self, rules: Sequence[RedactionRule], vocabulary: Vocabulary, keywords: Sequence[str]
    ) -> None:
        self._judge = LineJudge(vocabulary)
        self._echoing = {rule.name: rule.echo for rule in rules if rule.echo is not None}
        self._words = Words(rules, [keyword.lower() for keyword in keywords])
        self._scan = WordScan(self._words.spelled)

    @property
    def reader(self) -> ValueReader:
        """Reads values with the vocabulary of the rules."""
        return self._judge.reader

    def findings(
        self, lines: Sequence[str], text: str, numbers: Container[int] | None = None
    ) -> Findings:
        """What the rules find in ``lines``, or only in those of ``numbers`` and what these lead to.

        ``text`` is the joined lines.
        """
        reading = _Reading(self._judge, self._words, lines, text)
        banner_end = -1
        for number, hits in self._scan.lines(text, MOST_WORDS + 1, self._words.followers):
            if number > banner_end and self._words[hits[0][1]].opens_banner:
                banner_end = prose.banner_end(lines, number)
            if numbers is not None and number not in numbers:
                continue
            if len(hits) > MOST_WORDS:
                reading.findings.take_out(number)
            elif number <= banner_end:
                reading.read(number, hits, banner=True)
            elif not reading.repeats(number):
                reading.read(number, hits)
        for number, secret in list(echoes(lines, reading.findings.lines, self._echoing)):
            reading.findings.add(number, secret)
        return reading.findings


class _Known(NamedTuple):
    """What was found in a line, good for all others of the same letters."""

    #: None if it is nothing.
    found: LineFindings | None
    #: What the rules asked about the sections around it, and the answers.
    asked: tuple[tuple[re.Pattern[str], bool], ...]


class _Reading:
    """One text while its lines are read."""

    def __init__(
        self, judge: LineJudge, words: Mapping[int, Word], lines: Sequence[str], text: str
    ) -> None:
        self._judge = judge
        self._words = words
        self._lines = lines
        self._sections = Sections(lines, text)
        # Configurations repeat many lines letter by letter. Gone with the text.
        self._known: dict[str, _Known] = {}
        self.findings = Findings()

    def read(self, number: int, hits: Sequence[tuple[int, int]], *, banner: bool = False) -> None:
        """Judges line ``number``; lines are read in their order.

        A hit is a position in the line and the index of the word.
        """
        line = self._lines[number]
        found = self.findings.lines.get(number)
        stands_alone = found is None and not banner
        state = LineState(line, number, self._sections, found or LineFindings(), banner=banner)
        self._judge.judge(state, hits, self._words)
        self.findings.keep(number, state.found)
        for following, secret in enumerate(state.rest, number + 1):
            self.findings.add(following, secret)
        if state.continued is not None or state.below is not None:
            self._follow(state)
        elif stands_alone and not state.may_be_cut:
            self._known[line] = _Known(
                None if state.found.is_empty else state.found, tuple(state.asked.values())
            )

    def repeats(self, number: int) -> bool:
        """Whether a line of the same letters, read before, says what there is in line ``number``.

        Not for lines of a banner, nor for those that an earlier line has led to.
        """
        known = self._known.get(self._lines[number])
        if known is None or number in self.findings.lines:
            return False
        if known.asked:
            around = self._sections.around(number)
            for pattern, held in known.asked:
                if around.hold(pattern) is not held:
                    return False
        if known.found is not None:
            self.findings.share(number, known.found)
        return True

    def _follow(self, state: LineState) -> None:
        """The values that words of one line have in others."""
        if state.continued is not None:
            self._continue(state.number + 1, state.continued)
        if state.below is None:
            return
        if state.below.value is ValueKind.SECTION:
            self._read_below(state.below, self._sections.members(state.number), to_first=False)
        else:
            first = state.number + 1 + state.below.skip
            following = range(first, min(first + LINES_BELOW - state.below.skip, len(self._lines)))
            self._read_below(state.below, following, to_first=True)

    def _continue(self, number: int, rule: RedactionRule) -> None:
        """The value that a backslash has moved to line ``number`` (RouterOS, shells)."""
        if number >= len(self._lines):
            return
        line = self._lines[number]
        value = self._judge.reader.word(line, len(line) - len(line.lstrip()))
        if value is None or self._judge.is_hidden(line[value.start : value.end]):
            return
        constant = rule.token is TokenKind.CONSTANT
        self.findings.add(number, Secret(value.start, value.end, rule.name, "", constant))

    def _read_below(self, rule: RedactionRule, numbers: Iterable[int], *, to_first: bool) -> None:
        """The values that stand in lines ``numbers``; ``to_first`` ends at one without any."""
        known: dict[str, list[Secret] | None] = {}
        for number in numbers:
            line = self._lines[number]
            if line not in known:
                known[line] = self._whole_line(rule, line, number)
            secrets = known[line]
            if secrets is None and to_first:
                return
            for secret in secrets or ():
                self.findings.add(number, secret)

    def _whole_line(self, rule: RedactionRule, line: str, number: int) -> list[Secret] | None:
        """The secrets of a line that is a value as a whole, or None if it is none."""
        if line.strip() == REDACTED_LINE:
            return None
        indent = len(line) - len(line.lstrip())
        state = LineState(line, number, self._sections, LineFindings())
        return self._judge.secrets_at(rule, state, indent)
