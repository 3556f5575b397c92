"""Lines that are the same but for their values: their shapes, and a pattern that fits them all."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from inventory.platforms.definition import Treatment

#: Base64 and the like, words, blanks, single signs.
_PART = re.compile(r"[A-Za-z0-9+/=_-]{24,}|\w+|[ \t]+|[^\w \t]")
_CALENDAR = re.compile(
    r"jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sep(?:tember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?|mon(?:day)?|tue(?:sday)?"
    r"|wed(?:nesday)?|thu(?:rsday)?|fri(?:day)?|sat(?:urday)?|sun(?:day)?",
    re.IGNORECASE,
)
_DATE = re.compile(rf"{_CALENDAR.pattern}|(?:19|20)\d\d", re.IGNORECASE)
_BLANKS = r"[ \t]+"
#: Classes for values that differ, the narrowest first.
_CLASSES = tuple(
    (re.compile(fragment), fragment)
    for fragment in (r"\d+", r"[0-9a-f]+", r"[0-9A-Fa-f]+", r"[A-Za-z]+", r"\w+", r"[\w+/=-]+")
)
_SPECIAL = re.compile(r"[\\.^$*+?{}\[\]|()]")
#: What cannot stand in a TOML literal string as it is.
_NOT_LITERAL = re.compile(r"['\x00-\x1f\x7f]")
#: Fewest letters of the words that a pattern has to name.
_LEAST_NAMED = 2


class NoPattern(Exception):
    """There is no pattern that fits these lines and little else; the message says why."""


@dataclass(frozen=True, slots=True)
class VolatileRule:
    """An entry of ``volatile`` in a platform definition; the pattern fits a TOML literal string."""

    pattern: str
    treatment: Treatment

    def toml(self) -> str:
        """The entry as a line of a definition file."""
        return f"{{ pattern = '{self.pattern}', treatment = \"{self.treatment}\" }}"


def shape_of(line: str) -> str:
    """The line with numbers, names of days and months and long codes replaced by ``0``."""
    return "".join(map(_shape_of_part, _PART.findall(line)))


def frame_of(line: str) -> str:
    """The line with every word but its first replaced: lines that could be variants share it."""
    frame = []
    named = False
    for part in _PART.findall(line):
        if not _is_word(part):
            frame.append(" " if _is_blank(part) else part)
        else:
            frame.append("0" if named else _shape_of_part(part))
            named = True
    return "".join(frame)


def rule_for(lines: Collection[str], *, drop: bool) -> VolatileRule:
    """The narrowest rule that fits all of ``lines``, which share their frame.

    ``drop`` leaves such lines out; else what differs between them is masked. Raises NoPattern.
    """
    columns = list(zip(*map(_PART.findall, lines), strict=True))
    same = _fixed(columns)
    if all(same) and not drop:
        raise NoPattern("nothing in the line differs")
    _refuse_unnamed(columns, same)
    pieces = [
        _literal(column[0]) if is_same else _class_of(column)
        for column, is_same in zip(columns, same, strict=True)
    ]
    if not drop:
        _group(pieces, columns, same)
    return VolatileRule("".join(pieces) + "$", Treatment.DROP if drop else Treatment.MASK)


def _shape_of_part(part: str) -> str:
    is_code = len(part) >= 24 or any(character.isdigit() for character in part)
    return "0" if is_code or _CALENDAR.fullmatch(part) else part


def _is_blank(part: str) -> bool:
    return part[0] in " \t"


def _is_word(part: str) -> bool:
    return len(part) >= 24 or part[0].isalnum() or part[0] == "_"


def _fixed(columns: Sequence[tuple[str, ...]]) -> list[bool]:
    """Which columns stay as they are in every line.

    Where something differs, the parts of dates and times beside it differ too, even if they were
    the same in what was seen: they may not become fixed words.
    """
    same = [len(set(column)) == 1 for column in columns]
    if all(same):
        return same
    fixed = list(same)
    start = 0
    for index in range(len(columns) + 1):
        if index < len(columns) and not _is_blank(columns[index][0]):
            continue
        beside = not all(same[start:index])
        for place in range(start, index):
            part = columns[place][0]
            if same[place] and ((beside and part.isdecimal()) or _DATE.fullmatch(part)):
                fixed[place] = False
        start = index + 1
    return fixed


def _refuse_unnamed(columns: Sequence[tuple[str, ...]], same: Sequence[bool]) -> None:
    letters = sum(
        sum(map(str.isalpha, column[0]))
        for column, is_same in zip(columns, same, strict=True)
        if is_same
    )
    if letters < _LEAST_NAMED:
        raise NoPattern("the line has no fixed word that a rule could name")
    if any(not (a or b) for a, b in itertools.pairwise(same)):
        raise NoPattern("what changes has no fixed bounds in the line")


def _literal(part: str) -> str:
    escaped = _SPECIAL.sub(r"\\\g<0>", part)
    return _NOT_LITERAL.sub(lambda match: f"\\x{ord(match[0]):02x}", escaped)


def _class_of(values: Iterable[str]) -> str:
    values = set(values)
    if all(map(_is_blank, values)):
        return _BLANKS
    for pattern, fragment in _CLASSES:
        if all(pattern.fullmatch(value) for value in values):
            return fragment
    raise NoPattern("what changes in the line has no common form")


def _group(pieces: list[str], columns: Sequence[tuple[str, ...]], same: Sequence[bool]) -> None:
    """Put groups around what differs; values with only signs between them share one."""
    start: int | None = None
    end = 0
    for index, is_same in enumerate([*same, True]):
        is_end = index == len(same) or (is_same and _is_word(columns[index][0]))
        if start is not None and is_end:
            pieces[start] = f"({pieces[start]}"
            pieces[end] = f"{pieces[end]})"
            start = None
        elif not is_same:
            start = index if start is None else start
            end = index
