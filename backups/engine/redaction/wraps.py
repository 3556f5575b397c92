"""Values that the end of a line has cut; their rest stands at the begin of the next ones.

RouterOS breaks the lines of an export with a backslash, in the midst of a word where it has to.
Access nodes of Huawei and ZTE break them at the width of the terminal without any sign. There the
marks of a cipher tell what belongs together: those at both ends, or the one at its begin (``*21*``)
and the letters of base64.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from backups.engine.redaction.values import Value

#: A value may reach this many lines below its own.
MOST_LINES = 8

_MARKS = ("%^%#", "%+%#", "%$%$", "%@%@", "@%@%", "%#%#")
_MARK_LENGTH = 4
_UP_TO_MARK = {mark: re.compile(rf"\S{{0,400}}?{re.escape(mark)}") for mark in _MARKS}
_WHOLE_LINE = re.compile(r"\S{1,400}\r?$")
_NUMBERED = re.compile(r"\*\d{2}\*[A-Za-z0-9+/]{16,400}")
_BASE64 = re.compile(r"[A-Za-z0-9+/]{1,400}={0,2}(?![^\s])")
#: Columns of the terminal that access nodes of ZTE break their lines for (measured).
_TERMINAL_WIDTH = 80
_QUOTE = '"'
_BREAK = "\\"
_INDENT = "    "
# The backslash of a shell stands before options.
_PLAIN = re.compile(r'(?!--|-\w(?:\s|$))[^\s"\\;]{1,200}')
_QUOTED = re.compile(r'(?:[^"\\]|\\[^"\s]){1,200}')


class Wrap(NamedTuple):
    """The parts of a value."""

    #: What stands in the line itself.
    value: Value
    #: Begin and end of the rest in each of the next lines.
    rest: Sequence[tuple[int, int]]


def may_be_wrapped(line: str, value: Value, text_end: int) -> bool:
    """Whether ``value`` may have a rest in the lines below; of most it is known here already.

    The text of ``line`` ends at ``text_end``.
    """
    if line.startswith(_BREAK, text_end - 1):
        return True
    start = value.start + line.startswith(_QUOTE, value.start)
    return value.end >= text_end and (
        line[start : start + _MARK_LENGTH] in _MARKS
        or (_width(line) == _TERMINAL_WIDTH and _NUMBERED.match(line, start) is not None)
    )


def wrapped(line: str, value: Value, below: Sequence[str]) -> Wrap | None:
    """The parts of ``value``, which begins in ``line``, or None if all of it is there.

    ``below`` is the next lines.
    """
    start = value.start + line.startswith(_QUOTE, value.start)
    return (
        _marked(line, value._replace(start=start), below)
        or _numbered(line, value._replace(start=start), below)
        or _broken(line, value, below)
    )


def _width(line: str) -> int:
    return len(line) - line.endswith("\r")


def _marked(line: str, value: Value, below: Sequence[str]) -> Wrap | None:
    """Of a cipher that has lost the mark at its end."""
    inside = value.start + _MARK_LENGTH
    mark = line[value.start : inside]
    if mark not in _UP_TO_MARK or line.find(mark, inside) >= 0 or line[value.end :].strip():
        return None
    rest: list[tuple[int, int]] = []
    for following in below:
        if match := _UP_TO_MARK[mark].match(following):
            return Wrap(value, [*rest, match.span()])
        if _WHOLE_LINE.match(following) is None:
            return None
        rest.append((0, _width(following)))
    return None


def _numbered(line: str, value: Value, below: Sequence[str]) -> Wrap | None:
    """Of a cipher with a number in front."""
    width = _width(line)
    if width != _TERMINAL_WIDTH or _NUMBERED.fullmatch(line, value.start, width) is None:
        return None
    rest: list[tuple[int, int]] = []
    for following in below:
        match = _BASE64.match(following)
        if match is None:
            break
        rest.append(match.span())
        if match.end() < width:
            break
    return Wrap(value, rest) if rest else None


def _broken(line: str, value: Value, below: Sequence[str]) -> Wrap | None:
    """Of a value in a line that ends in a backslash."""
    end = _width(line) - 1
    if not line.startswith(_BREAK, max(end, 0)):
        return None
    if value.quoted and value.end > end:
        closing, start = _BREAK + _QUOTE, value.start
    elif line.startswith(_QUOTE, value.start) and line.find(_QUOTE, value.start + 1) < 0:
        closing, start = _QUOTE, value.start + 1
    elif value.end > end:
        closing, start = "", value.start
    else:
        return None
    rest = _broken_rest(below, closing) if start < end else []
    return Wrap(Value(start, end), rest) if rest else None


def _broken_rest(below: Sequence[str], closing: str) -> list[tuple[int, int]]:
    """Begin and end of a value in each of the lines below, up to ``closing`` if it has quotes."""
    pattern = _QUOTED if closing else _PLAIN
    rest: list[tuple[int, int]] = []
    for following in below:
        match = pattern.match(following, len(_INDENT)) if following.startswith(_INDENT) else None
        if match is None:
            break
        goes_on = match.end() == _width(following) - 1 and following.endswith((_BREAK, "\\\r"))
        if not goes_on and not following.startswith(closing, match.end()):
            break
        rest.append(match.span())
        if not goes_on:
            break
    return rest
