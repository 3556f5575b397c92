"""Asks the rules of the words of one line."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from backups.engine.redaction.asks import BLANKS, Ask
from backups.engine.redaction.findings import LineFindings, Secret, covers
from backups.engine.redaction.prose import ProseReader
from backups.engine.redaction.sections import Around, Sections
from backups.engine.redaction.tokens import is_token
from backups.engine.redaction.values import Value, ValueReader
from backups.engine.redaction.word_rules import IN_NAME, Candidate, Word
from backups.engine.redaction.wraps import MOST_LINES, may_be_wrapped, wrapped
from inventory.platforms.definition import (
    LINE_HEAD,
    Left,
    RedactionRule,
    TokenKind,
    ValueKind,
    Vocabulary,
)

_NAME_LENGTH = 48
_BLANK_RUN = re.compile(r"[ \t]+")
_CONTINUED = "\\"
_MANY_ASKS = 8
# Stands between a name and its value, and is no value itself.
_SEPARATOR = re.compile(r"(?:[:=]=?>?|[-=]?>|\.{2,}:?)[ \t]+(?=\S)")
_IN_OTHER_LINES = frozenset({ValueKind.BELOW, ValueKind.SECTION})


class LineState:
    """One line while its words are visited."""

    #: Rule whose value stands on the next line.
    continued: RedactionRule | None = None
    #: One secret of each of the next lines: the rest of what the end of this line has cut.
    rest: Sequence[Secret] = ()
    #: Whether the lines below decide about that.
    may_be_cut = False
    #: Rule whose values stand in the lines below.
    below: RedactionRule | None = None
    #: Known as soon as somebody asks.
    around: Around | None = None
    #: Where the text of the line ends, or -1 as long as nobody asked.
    end = -1

    def __init__(
        self,
        line: str,
        number: int,
        sections: Sections,
        found: LineFindings,
        *,
        banner: bool = False,
    ) -> None:
        """``banner`` says that all of the line is free text."""
        self.line = line
        self.number = number
        self.sections = sections
        self.found = found
        self.banner = banner
        #: What is known about the head of the line, by pattern.
        self.held: dict[int, bool] = {}
        #: What was asked about the sections around the line, and the answers.
        self.asked: dict[int, tuple[re.Pattern[str], bool]] = {}

    def head_holds(self, pattern: re.Pattern[str]) -> bool:
        """Whether ``pattern`` is found in the first characters of the line."""
        held = self.held.get(id(pattern))
        if held is None:
            held = pattern.search(self.line, 0, LINE_HEAD) is not None
            self.held[id(pattern)] = held
        return held

    def stands_in(self, pattern: re.Pattern[str]) -> bool:
        """Whether ``pattern`` is found in the headers of the sections around the line."""
        asked = self.asked.get(id(pattern))
        if asked is None:
            if self.around is None:
                self.around = self.sections.around(self.number)
            asked = self.asked[id(pattern)] = (pattern, self.around.hold(pattern))
        return asked[1]

    def text_end(self) -> int:
        """Where the blanks at the end of the line begin."""
        if self.end < 0:
            self.end = len(self.line.rstrip())
        return self.end


class LineJudge:
    """Rules ready to be asked about the lines of many texts."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.reader = ValueReader(vocabulary)
        self._prose = ProseReader(vocabulary)

    def judge(
        self, state: LineState, hits: Sequence[tuple[int, int]], words: Mapping[int, Word]
    ) -> None:
        """Fills the findings of ``state`` with what the words at ``hits`` stand for.

        A hit is a position in the line and the index of the word in ``words``.
        """
        found, line = state.found, state.line
        if state.banner:
            found.prose = [(0, len(line))]
        for start, index in hits:
            word = words[index]
            for left, right in word.mentions:
                if not found.in_secret(start + left):
                    found.mentions.append((start + left, start + right))
            for candidate in word.candidates(line, start):
                begin = start + candidate.offset
                if not found.in_secret(begin) and self._applies(state, begin, candidate):
                    break
        if found.mentions and found.prose is None:
            found.prose = self._prose.spans(line)

    def secrets_at(self, rule: RedactionRule, state: LineState, start: int) -> list[Secret] | None:
        """The secrets of ``rule`` at ``start``, or None where it does not apply there."""
        return self._in_line(rule, state, start, start)

    def is_hidden(self, text: str) -> bool:
        """Whether somebody has already put a token or a mask in place of the secret."""
        return is_token(text) or self.reader.is_masked(text)

    def _applies(self, state: LineState, start: int, candidate: Candidate) -> bool:
        """Whether a rule of ``candidate`` applies at ``start``; its secrets are kept."""
        line = state.line
        end = start + len(candidate.word)
        written = line[start:end]
        if candidate.reaches_further and written.lower() != candidate.word:
            return False
        alone = start == 0 or line[start - 1] not in IN_NAME
        asks = candidate.rules[alone][written == candidate.word].possible(line, end)
        # Free text is looked for once where each of many rules would ask for it in the end.
        if len(asks) >= _MANY_ASKS and self._in_prose(state, start):
            asks = tuple(ask for ask in asks if ask.prose)
        for ask in asks:
            position = _value_position(ask, line, end)
            if position < 0 or not self._stands_right(ask, state, start):
                continue
            secrets = self._secrets(ask.rule, state, start, position)
            if secrets is not None:
                for secret in secrets:
                    self._add(state, secret)
                state.found.judged.append((start, end))
                return True
        return False

    def _stands_right(self, ask: Ask, state: LineState, start: int) -> bool:
        """Whether line and sections are those of the rule, and ``start`` is in no free text."""
        if ask.name is not None and not _ends_name(ask.name, state.line, start):
            return False
        # Where free text is takes longer to find than sections, but often it is known.
        prose_first = not ask.asks_sections or state.found.prose is not None
        if prose_first and not ask.prose and self._in_prose(state, start):
            return False
        if ask.head is not None and not state.head_holds(ask.head):
            return False
        if ask.asks_sections and not _sections_agree(ask, state):
            return False
        return prose_first or ask.prose or not self._in_prose(state, start)

    def _add(self, state: LineState, secret: Secret) -> None:
        """Keeps ``secret``; a word inside it that looks like the begin of free text is none."""
        found = state.found
        if found.prose is None:
            found.prose = self._prose.spans(state.line)
        found.add(secret)
        if found.prose and not state.banner and covers(found.prose, secret.start, secret.end):
            before = [span for span in found.prose if span[0] < secret.start]
            found.prose = before or self._prose.spans(state.line, secret.end)

    def _in_prose(self, state: LineState, start: int) -> bool:
        found = state.found
        if found.prose is None:
            found.prose = self._prose.spans(state.line)
        return bool(found.prose) and covers(found.prose, start, start + 1)

    def _secrets(
        self, rule: RedactionRule, state: LineState, start: int, position: int
    ) -> list[Secret] | None:
        """The secrets behind a word, or None where the rule does not apply after all."""
        if rule.value is ValueKind.KEEP:
            return []
        if rule.value in _IN_OTHER_LINES:
            state.below = rule
            return []
        return self._in_line(rule, state, start, position)

    def _in_line(
        self, rule: RedactionRule, state: LineState, start: int, position: int
    ) -> list[Secret] | None:
        line = state.line
        encoding = ""
        if rule.encodings:
            position, encoding = self.reader.skip_encodings(line, position)
        if rule.unless is not None and rule.unless.match(line, position):
            return None
        if rule.value not in _IN_OTHER_LINES and _SEPARATOR.match(line, position):
            return None
        values = self._values(rule, state, position if rule.value is not ValueKind.SHAPE else start)
        if values is None or (not values and rule.value not in _IN_OTHER_LINES):
            return None
        if not values:
            return []
        first = values[0]
        if rule.value not in _IN_OTHER_LINES and _is_continued(line, first):
            state.continued = rule
            return []
        if rule.vocabulary and not first.quoted and self.reader.is_own_word(line, first):
            return None
        constant = rule.token is TokenKind.CONSTANT or self.reader.is_resalted(encoding)
        if rule.value not in _IN_OTHER_LINES:
            values[-1] = _unwrapped(rule, state, values[-1], constant=constant)
        return [
            Secret(
                value.start,
                value.end,
                rule.name,
                encoding,
                constant or self.reader.is_resalted(value.scheme),
            )
            for value in values
            if not self.is_hidden(line[value.start : value.end])
        ]

    def _values(self, rule: RedactionRule, state: LineState, position: int) -> list[Value] | None:
        """The values at ``position``; None where ``take`` does not match."""
        line = state.line
        if rule.take is not None:
            match = rule.take.match(line, position)
            if match is None:
                return None
            spans = match.regs[1:]
            found = [self._taken(line, start, end) for start, end in spans if start >= 0]
            return _apart([value for value in found if value])
        if rule.value is ValueKind.REST:
            value = self.reader.rest(line, position, state.text_end())
        else:
            value = self.reader.word(line, position)
        return [value] if value else []

    def _taken(self, line: str, start: int, end: int) -> Value | None:
        return self.reader.inner(line, Value(start, end)) if start < end else None


def _value_position(ask: Ask, line: str, end: int) -> int:
    """Where the value begins behind the word that ends at ``end``, or -1 if it is not its rule's.

    That blanks follow where they have to is known.
    """
    if ask.begin is not None and ask.begin.match(line, 0, LINE_HEAD) is None:
        return -1
    if ask.then is None:
        return _behind_blanks(line, end) if ask.needs_blank else end
    match = ask.then.match(line, end)
    return -1 if match is None else match.end()


def _behind_blanks(line: str, end: int) -> int:
    if line[end + 1 : end + 2] not in BLANKS:
        return end + 1
    match = _BLANK_RUN.match(line, end)
    return end if match is None else match.end()


def _sections_agree(ask: Ask, state: LineState) -> bool:
    """Whether the line stands in the sections of the rule."""
    if ask.within is not None and not state.stands_in(ask.within):
        return False
    return ask.outside is None or not state.stands_in(ask.outside)


def _ends_name(left: Left, line: str, start: int) -> bool:
    """Whether the word at ``start`` ends the name of an option or of an XML element."""
    begin = start
    while begin > 0 and start - begin < _NAME_LENGTH and line[begin - 1] in IN_NAME:
        begin -= 1
    if left is Left.OPTION:
        return line[begin : begin + 1] == "-" and (begin == 0 or line[begin - 1].isspace())
    if begin > 0 and line[begin - 1] == ":":
        begin = line.rfind("<", max(0, begin - _NAME_LENGTH), begin) + 1
    return begin > 0 and line[begin - 1] == "<"


def _unwrapped(rule: RedactionRule, state: LineState, value: Value, *, constant: bool) -> Value:
    """The part of ``value`` in the line itself; ``state`` learns of the rest in the next ones."""
    if not may_be_wrapped(state.line, value, state.text_end()):
        return value
    state.may_be_cut = True
    wrap = wrapped(state.line, value, state.sections.below(state.number, MOST_LINES))
    if wrap is None:
        return value
    state.rest = [Secret(start, end, rule.name, "", constant) for start, end in wrap.rest]
    return wrap.value


def _is_continued(line: str, value: Value) -> bool:
    return value.end == value.start + 1 and line[value.start] == _CONTINUED


def _apart(values: list[Value]) -> list[Value]:
    """``values`` without those that lie inside the one before."""
    kept: list[Value] = []
    for value in values:
        if not kept or value.start >= kept[-1].end:
            kept.append(value)
    return kept
