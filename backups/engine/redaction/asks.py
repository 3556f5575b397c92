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
BLANKS = frozenset(" \t")


@dataclass(frozen=True, slots=True)
class Ask:
    """A rule, and what is asked before it, worked out once. None stands for nothing to ask."""

    rule: RedactionRule
    #: What may stand in front, if the name that ends in the word has to be looked at.
    name: Left | None
    #: Only blanks have to follow the word.
    needs_blank: bool
    #: What else has to follow the word; the value begins behind it.
    then: re.Pattern[str] | None
    #: Has to match where the line begins.
    begin: re.Pattern[str] | None
    #: Has to be found in the first ``LINE_HEAD`` characters of the line.
    head: re.Pattern[str] | None
    within: re.Pattern[str] | None
    outside: re.Pattern[str] | None
    #: Whether one of the two is there.
    asks_sections: bool
    prose: bool

    @staticmethod
    def about(rule: RedactionRule) -> Ask:
        # The word is part of the secret then; nothing around it is asked.
        is_shape = rule.value is ValueKind.SHAPE
        name = rule.left if rule.left in _NAMED else None
        if is_shape:
            return Ask(rule, name, False, None, None, None, None, None, False, rule.prose)
        from_begin = rule.line is not None and begins_with(rule.line.pattern, LINE_BEGIN)
        return Ask(
            rule=rule,
            name=name,
            needs_blank=rule.then is None,
            then=rule.then,
            begin=rule.line if from_begin else None,
            head=None if from_begin else rule.line,
            within=rule.within,
            outside=rule.outside,
            asks_sections=rule.within is not None or rule.outside is not None,
            prose=rule.prose,
        )


class Asks:
    """Rules that are asked at one kind of place, in their order."""

    __slots__ = ("_all", "_begins", "_followers", "_possible")

    def __init__(self, asks: Sequence[Ask]) -> None:
        self._all = tuple(asks)
        self._followers = _joined([ask.then for ask in asks])
        self._begins = _joined([ask.begin for ask in asks])
        #: What is left of all, by whether a blank, a follower and a begin of a rule is there.
        self._possible: dict[tuple[bool, bool, bool], tuple[Ask, ...]] = {}

    def __bool__(self) -> bool:
        return bool(self._all)

    def possible(self, line: str, end: int) -> tuple[Ask, ...]:
        """Those that may apply to the word of ``line`` that ends at ``end``."""
        seen = (
            line[end : end + 1] in BLANKS,
            self._followers is None or self._followers.match(line, end) is not None,
            self._begins is None or self._begins.match(line, 0, LINE_HEAD) is not None,
        )
        possible = self._possible.get(seen)
        if possible is None:
            possible = self._possible[seen] = self._left(*seen)
        return possible

    def _left(self, blank: bool, follower: bool, begin: bool) -> tuple[Ask, ...]:
        return tuple(
            ask
            for ask in self._all
            if (blank or not ask.needs_blank)
            and (follower or ask.then is None)
            and (begin or ask.begin is None)
        )


def _joined(patterns: Sequence[re.Pattern[str] | None]) -> re.Pattern[str] | None:
    """One pattern for all of ``patterns``, or None if it would spare nothing."""
    asked = [pattern for pattern in patterns if pattern is not None]
    return any_of(asked) if len(asked) > 1 else None
