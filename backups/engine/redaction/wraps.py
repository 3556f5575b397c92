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
_NUMBERED = re.compile(r"\*\d{2}\*[A-Za-z0-9+/]{16,400}")
_BASE64 = re.compile(r"[A-Za-z0-9+/]{1,400}={0,2}(?![^\s])")
_QUOTE = '"'
_BREAK = "\\"
_INDENT = "    "
_PLAIN = re.compile(r'(?!-)[^\s"\\;]{1,200}')
_TO_ESCAPED_QUOTE = re.compile(r'[^"\\]{1,200}(?=\\")')
_TO_QUOTE = re.compile(r'[^"\\]{1,200}(?=")')


class Wrap(NamedTuple):
    """The parts of a value."""

    #: What stands in the line itself.
    value: Value
    #: Begin and end of the rest in each of the next lines.
    rest: Sequence[tuple[int, int]]


def may_be_wrapped(line: str, value: Value) -> bool:
    """Whether ``value`` may have a rest in the lines below; of most it is known here already."""
    return not line[value.end :].strip() or line.endswith((_BREAK, _BREAK + "\r"))


def wrapped(line: str, value: Value, below: Sequence[str]) -> Wrap | None:
    """The parts of ``value``, which begins in ``line``, or None if all of it is there.

    ``below`` is the next lines.
    """
    if not below:
        return None
    start = value.start + line.startswith(_QUOTE, value.start)
    return (
        _marked(line, value._replace(start=start), below[0])
        or _numbered(line, value._replace(start=start), below)
        or _broken(line, value, below[0])
    )


def _marked(line: str, value: Value, following: str) -> Wrap | None:
    """Of a cipher that has lost the mark at its end."""
    inside = value.start + _MARK_LENGTH
    mark = line[value.start : inside]
    if mark not in _UP_TO_MARK or line.find(mark, inside) >= 0 or line[value.end :].strip():
        return None
    match = _UP_TO_MARK[mark].match(following)
    return Wrap(value, [match.span()]) if match else None


def _numbered(line: str, value: Value, below: Sequence[str]) -> Wrap | None:
    """Of a cipher with a number in front."""
    width = len(line.rstrip("\r"))
    if _NUMBERED.fullmatch(line, value.start, width) is None:
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


def _broken(line: str, value: Value, following: str) -> Wrap | None:
    """Of a value in a line that ends in a backslash."""
    end = len(line.rstrip("\r")) - 1
    if not line.startswith(_BREAK, max(end, 0)) or not following.startswith(_INDENT):
        return None
    if value.quoted and value.end > end:
        pattern, start = _TO_ESCAPED_QUOTE, value.start
    elif line.startswith(_QUOTE, value.start) and line.count(_QUOTE, value.start) == 1:
        pattern, start = _TO_QUOTE, value.start + 1
    elif value.end > end:
        pattern, start = _PLAIN, value.start
    else:
        return None
    match = pattern.match(following, len(_INDENT)) if start < end else None
    return Wrap(Value(start, end), [match.span()]) if match else None
