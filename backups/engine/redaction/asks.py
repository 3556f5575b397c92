"""What is asked of a word before the rules behind it are: most of them do not apply there.

The rules of a word are asked one after the other, and the first that applies decides. What can be
told of many of them with one pattern is asked first, so that only a few are left.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from backups.engine.redaction.patterns import LINE_BEGIN, any_of, begins_with
from inventory.platforms.definition import LINE_HEAD, Left, RedactionRule, ValueKind

_NAMED = frozenset({Left.OPTION, Left.ELEMENT})
_BLANKS = frozenset(" \t")
_BLANK_RUN = re.compile(r"[ \t]+")
#: So few rules are asked right away.
_FEW = 2


@dataclass(frozen=True, slots=True)
class Ask:
    """A rule, and what is asked of every word first, worked out once."""

    rule: RedactionRule
    #: What may stand in front, if the name that ends in the word has to be looked at.
    name: Left | None
    #: The word is part of the secret; nothing else is asked.
    is_shape: bool
    then: re.Pattern[str]
    line: re.Pattern[str] | None
    #: ``line`` begins at the begin of the line, wherever it matches.
    from_begin: bool
    within: re.Pattern[str] | None
    outside: re.Pattern[str] | None
    prose: bool

    @staticmethod
    def about(rule: RedactionRule) -> Ask:
        return Ask(
            rule=rule,
            name=rule.left if rule.left in _NAMED else None,
            is_shape=rule.value is ValueKind.SHAPE,
            then=rule.then or _BLANK_RUN,
            line=rule.line,
            from_begin=rule.line is not None and begins_with(rule.line.pattern, LINE_BEGIN),
            within=rule.within,
            outside=rule.outside,
            prose=rule.prose,
        )

    @property
    def asks_sections(self) -> bool:
        return self.within is not None or self.outside is not None

    @property
    def needs_blank(self) -> bool:
        """Whether blanks have to follow the word, and nothing else is asked of what follows."""
        return self.then is _BLANK_RUN and not self.is_shape

    @property
    def needs_sign(self) -> bool:
        """Whether the rule says itself what has to follow the word."""
        return self.then is not _BLANK_RUN and not self.is_shape

    @property
    def needs_begin(self) -> bool:
        """Whether the rule says how the line has to begin."""
        return self.from_begin and not self.is_shape


class Asks:
    """Rules that are asked at one kind of place, in their order."""

    __slots__ = ("_all", "_begins", "_possible", "_signs")

    def __init__(self, asks: Sequence[Ask]) -> None:
        self._all = tuple(asks)
        self._signs = any_of([ask.then for ask in asks if ask.needs_sign])
        self._begins = any_of([ask.line for ask in asks if ask.line and ask.needs_begin])
        #: What is left of all, by whether a blank, a sign of a rule and a begin of a rule is there.
        self._possible: dict[tuple[bool, bool, bool], tuple[Ask, ...]] = {}

    def __bool__(self) -> bool:
        return bool(self._all)

    def possible(self, line: str, end: int) -> tuple[Ask, ...]:
        """Those that may apply to the word of ``line`` that ends at ``end``."""
        if len(self._all) <= _FEW:
            return self._all
        seen = (
            line[end : end + 1] in _BLANKS,
            self._signs is None or self._signs.match(line, end) is not None,
            self._begins is None or self._begins.match(line, 0, LINE_HEAD) is not None,
        )
        possible = self._possible.get(seen)
        if possible is None:
            possible = self._possible[seen] = self._left(*seen)
        return possible

    def _left(self, blank: bool, sign: bool, begin: bool) -> tuple[Ask, ...]:
        return tuple(
            ask
            for ask in self._all
            if (blank or not ask.needs_blank)
            and (sign or not ask.needs_sign)
            and (begin or not ask.needs_begin)
        )
