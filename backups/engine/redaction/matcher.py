"""Finds the secrets of a text: one scan for words, then the rules of these words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from backups.engine.redaction import prose
from backups.engine.redaction.findings import LineFindings, Secret, covers, echoes
from backups.engine.redaction.sections import Sections
from backups.engine.redaction.tokens import REDACTED_LINE, TOKEN
from backups.engine.redaction.values import Value, ValueReader
from backups.engine.redaction.word_scan import WordScan
from inventory.platforms.definition import (
    LINE_HEAD,
    Left,
    RedactionRule,
    TokenKind,
    ValueKind,
    Vocabulary,
)

_BLANKS = re.compile(r"[ \t]+")
# What may stand directly before a word that stands alone.
_IN_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.")
_NAME_LENGTH = 48
#: A line with more words of the rules than this is no configuration; all of it is taken out.
MOST_WORDS = 10_000
_BANNER_WORDS = frozenset({"banner", "header"})
_CONTINUED = "\\"
#: How many lines a value of the kind ``below`` reaches.
LINES_BELOW = 2
_IN_OTHER_LINES = frozenset({ValueKind.BELOW, ValueKind.SECTION})


@dataclass(frozen=True, slots=True)
class _Word:
    """A word of the scan, with its rules and the other words that begin inside it."""

    rules: tuple[RedactionRule, ...]
    #: Where the other word begins, the word, and its rules; it may reach further than this one.
    others: tuple[tuple[int, str, tuple[RedactionRule, ...]], ...]
    #: Where keywords of the second pass stand in the word, as (start, end).
    mentions: tuple[tuple[int, int], ...]


class Matcher:
    """A set of rules, ready to be used on many texts."""

    def __init__(
        self, rules: Sequence[RedactionRule], vocabulary: Vocabulary, keywords: Sequence[str]
    ) -> None:
        self.reader = ValueReader(vocabulary)
        self._prose = re.compile("|".join(f"(?:{opening})" for opening in vocabulary.prose))
        self._echoing = {rule.name: rule.echo for rule in rules if rule.echo is not None}
        self._words = _words(rules, [keyword.lower() for keyword in keywords])
        self._scan = WordScan({*self._words, *_BANNER_WORDS})

    def findings(self, lines: Sequence[str], text: str) -> dict[int, LineFindings]:
        """Findings of all lines that hold a word, by line number; ``text`` is the joined lines."""
        hits: dict[int, list[tuple[int, str]]] = {}
        for number, start, word in self._scan.hits(lines, text):
            hits.setdefault(number, []).append((start, word))
        banners = prose.banner_lines(
            lines, [n for n, found in hits.items() if _opens_banner(found)]
        )
        sections = Sections(lines)
        findings: dict[int, LineFindings] = {}
        for number, found in hits.items():
            known = findings.setdefault(number, LineFindings())
            state = _LineState(line=lines[number], number=number, sections=sections, found=known)
            if number in banners:
                state.banner = True
                known.prose = [(0, len(state.line))]
            known.overfull = len(found) > MOST_WORDS
            for start, word in found[:MOST_WORDS]:
                if word in self._words:
                    self._visit(state, start, self._words[word], len(word))
            self._follow(lines, state, findings)
            if known.mentions and known.prose is None:
                known.prose = prose.spans(self._prose, state.line)
        for number, secret in list(echoes(lines, findings, self._echoing)):
            findings.setdefault(number, LineFindings()).add(secret)
        return findings

    def _visit(self, state: _LineState, start: int, word: _Word, length: int) -> None:
        found = state.found
        for left, right in word.mentions:
            if not found.in_secret(start + left):
                found.mentions.append((start + left, start + right))
        if not found.in_secret(start) and self._judge(state, start, length, word.rules):
            return
        for offset, other, rules in word.others:
            begin = start + offset
            if found.in_secret(begin):
                continue
            stands = state.line[begin : begin + len(other)].lower() == other
            if stands and self._judge(state, begin, len(other), rules):
                return

    def _judge(
        self, state: _LineState, start: int, length: int, rules: tuple[RedactionRule, ...]
    ) -> bool:
        """Whether one of ``rules`` applies to the word at ``start``; its secrets are kept."""
        for rule in rules:
            position = _value_position(rule, state, start, start + length)
            if position is None or (not rule.prose and self._in_prose(state, start)):
                continue
            secrets = self._secrets(rule, state, start, position)
            if secrets is not None:
                for secret in secrets:
                    self._add(state, secret)
                state.found.judged.append((start, start + length))
                return True
        return False

    def _add(self, state: _LineState, secret: Secret) -> None:
        """Keeps ``secret``; a word inside it that looks like the begin of free text is none."""
        found = state.found
        found.add(secret)
        if found.prose and not state.banner and covers(found.prose, secret.start, secret.end):
            before = [span for span in found.prose if span[0] < secret.start]
            found.prose = before or prose.spans(self._prose, state.line, secret.end)

    def _in_prose(self, state: _LineState, start: int) -> bool:
        found = state.found
        if found.prose is None:
            found.prose = prose.spans(self._prose, state.line)
        return covers(found.prose, start, start + 1)

    def _secrets(
        self, rule: RedactionRule, state: _LineState, start: int, position: int
    ) -> list[Secret] | None:
        """The secrets behind a word, or None where the rule does not apply after all."""
        if rule.value is ValueKind.KEEP:
            return []
        if rule.value in _IN_OTHER_LINES:
            state.below = rule
            return []
        return self._in_line(rule, state, start, position)

    def _in_line(
        self, rule: RedactionRule, state: _LineState, start: int, position: int
    ) -> list[Secret] | None:
        line = state.line
        encoding = ""
        if rule.encodings:
            position, encoding = self.reader.skip_encodings(line, position)
        if rule.unless is not None and rule.unless.match(line, position):
            return None
        values = self._values(rule, line, position if rule.value is not ValueKind.SHAPE else start)
        if not values:
            return None
        first = line[values[0].start : values[0].end]
        if first == _CONTINUED and rule.value not in _IN_OTHER_LINES:
            state.continued = rule
            return []
        if rule.vocabulary and not values[0].quoted and self._is_word(line, values[0]):
            return None
        constant = rule.token is TokenKind.CONSTANT or self.reader.is_resalted(encoding)
        return [
            Secret(
                value.start,
                value.end,
                rule.name,
                encoding,
                constant or self.reader.is_resalted(value.scheme),
            )
            for value in values
            if not self._is_hidden(line[value.start : value.end])
        ]

    def _values(self, rule: RedactionRule, line: str, position: int) -> list[Value]:
        if rule.take is not None:
            match = rule.take.match(line, position)
            spans = match.regs[1:] if match else ()
            found = [self._taken(line, start, end) for start, end in spans if start >= 0]
            return _apart([value for value in found if value])
        if rule.value is ValueKind.REST:
            value = self.reader.rest(line, position)
        else:
            value = self.reader.word(line, position)
        return [value] if value else []

    def _taken(self, line: str, start: int, end: int) -> Value | None:
        return self.reader.inner(line, Value(start, end)) if start < end else None

    def _is_word(self, line: str, value: Value) -> bool:
        first = _first_word(line[value.start : value.end])
        return self.reader.is_vocabulary(first)

    def _is_hidden(self, text: str) -> bool:
        return TOKEN.fullmatch(text) is not None or self.reader.is_masked(text)

    def _follow(
        self, lines: Sequence[str], state: _LineState, findings: dict[int, LineFindings]
    ) -> None:
        """The values that words of one line have in others."""
        if state.continued is not None:
            self._continue(lines, state, state.continued, findings)
        if state.below is not None:
            self._read_below(lines, state, state.below, findings)

    def _continue(
        self,
        lines: Sequence[str],
        state: _LineState,
        rule: RedactionRule,
        findings: dict[int, LineFindings],
    ) -> None:
        """The value that a backslash has moved to the next line (RouterOS, shells)."""
        number = state.number + 1
        if number >= len(lines):
            return
        line = lines[number]
        value = self.reader.word(line, len(line) - len(line.lstrip()))
        if value is None or self._is_hidden(line[value.start : value.end]):
            return
        constant = rule.token is TokenKind.CONSTANT
        secret = Secret(value.start, value.end, rule.name, "", constant)
        findings.setdefault(number, LineFindings()).add(secret)

    def _read_below(
        self,
        lines: Sequence[str],
        state: _LineState,
        rule: RedactionRule,
        findings: dict[int, LineFindings],
    ) -> None:
        """The values that stand in the lines below."""
        in_section = rule.value is ValueKind.SECTION
        first = state.number + 1
        following = range(first, min(first + LINES_BELOW, len(lines)))
        for number in state.sections.members(state.number) if in_section else following:
            line = lines[number]
            indent = len(line) - len(line.lstrip())
            below = _LineState(line, number, state.sections, LineFindings())
            hidden = line.strip() == REDACTED_LINE
            secrets = None if hidden else self._in_line(rule, below, indent, indent)
            if secrets is None and not in_section:
                return
            for secret in secrets or ():
                findings.setdefault(number, LineFindings()).add(secret)


@dataclass(slots=True)
class _LineState:
    """One line while its words are visited."""

    line: str
    number: int
    sections: Sections
    found: LineFindings
    #: All of the line is free text.
    banner: bool = False
    #: Rule whose value stands on the next line.
    continued: RedactionRule | None = None
    #: Rule whose values stand in the lines below.
    below: RedactionRule | None = None
    #: What is known about the head of the line, by pattern.
    held: dict[int, bool] = field(default_factory=dict)

    def head_holds(self, pattern: re.Pattern[str]) -> bool:
        """Whether ``pattern`` is found in the first characters of the line."""
        key = id(pattern)
        if key not in self.held:
            self.held[key] = pattern.search(self.line[:LINE_HEAD]) is not None
        return self.held[key]


def _value_position(rule: RedactionRule, state: _LineState, start: int, end: int) -> int | None:
    """Where the value of ``rule`` begins if it applies to the word at ``start``, else None."""
    line = state.line
    if not rule.any_case and line[start:end] != line[start:end].lower():
        return None
    if not _left_agrees(rule.left, line, start):
        return None
    if rule.value is ValueKind.SHAPE:
        return end
    match = (rule.then or _BLANKS).match(line, end)
    if match is None:
        return None
    if rule.line is not None and not state.head_holds(rule.line):
        return None
    if rule.within is not None and not state.sections.hold(state.number, rule.within):
        return None
    if rule.outside is not None and state.sections.hold(state.number, rule.outside):
        return None
    return match.end()


def _left_agrees(left: Left, line: str, start: int) -> bool:
    if left is Left.ANY or (left is Left.WORD and start == 0):
        return True
    if left is Left.WORD:
        return line[start - 1] not in _IN_NAME
    begin = start
    while begin > 0 and start - begin < _NAME_LENGTH and line[begin - 1] in _IN_NAME:
        begin -= 1
    if left is Left.OPTION:
        return line[begin : begin + 1] == "-" and (begin == 0 or line[begin - 1].isspace())
    if begin > 0 and line[begin - 1] == ":":
        begin = line.rfind("<", max(0, begin - _NAME_LENGTH), begin) + 1
    return begin > 0 and line[begin - 1] == "<"


def _opens_banner(hits: Sequence[tuple[int, str]]) -> bool:
    return hits[0][1] in _BANNER_WORDS


def _apart(values: list[Value]) -> list[Value]:
    """``values`` without those that lie inside the one before."""
    kept: list[Value] = []
    for value in values:
        if not kept or value.start >= kept[-1].end:
            kept.append(value)
    return kept


def _words(rules: Sequence[RedactionRule], keywords: Sequence[str]) -> Mapping[str, _Word]:
    by_word: dict[str, list[RedactionRule]] = {keyword: [] for keyword in keywords}
    for rule in rules:
        for word in rule.words:
            by_word.setdefault(word, []).append(rule)
    by_start: dict[str, list[str]] = {}
    for word in sorted(by_word, key=len, reverse=True):
        for end in range(1, len(word)):
            by_start.setdefault(word[:end], []).append(word)
    return {
        word: _Word(
            tuple(own), tuple(_others(word, by_word, by_start)), tuple(_mentions(word, keywords))
        )
        for word, own in by_word.items()
    }


def _others(
    word: str,
    by_word: Mapping[str, list[RedactionRule]],
    by_start: Mapping[str, list[str]],
) -> Iterator[tuple[int, str, tuple[RedactionRule, ...]]]:
    """The other words that may begin inside ``word``, in order, the longer first.

    The scan takes the longest word at a place and goes on behind it, so it meets none of these.
    """
    for offset in range(len(word)):
        rest = word[offset:]
        reaching_further = by_start.get(rest, []) if offset else []
        within = [rest[:end] for end in range(len(rest), 0, -1) if rest[:end] in by_word]
        for other in (*reaching_further, *within):
            if other != word:
                yield offset, other, tuple(by_word[other])


def _mentions(word: str, keywords: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Where keywords stand in ``word``; the longest one at each place."""
    end = 0
    for offset in range(len(word)):
        here = [keyword for keyword in keywords if word.startswith(keyword, offset)]
        if here and offset >= end:
            end = offset + max(map(len, here))
            yield offset, end


def _first_word(text: str) -> str:
    parts = text.split(None, 1)
    return parts[0] if parts else ""
