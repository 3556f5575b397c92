"""Values that the end of a line has cut; their rest stands at the begin of the next one.

RouterOS breaks the lines of an export with a backslash, in the midst of a word where it has to.
Huawei's access nodes break them at the width of the terminal without any sign; there the marks at
both ends of a cipher tell what belongs together.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from backups.engine.redaction.values import Value

_MARKS = ("%^%#", "%+%#", "%$%$", "%@%@", "@%@%", "%#%#")
_RESTS = {mark: re.compile(rf"(\S{{0,400}}?{re.escape(mark)})") for mark in _MARKS}
_MARK_LENGTH = 4
_QUOTE = '"'
_BREAK = "\\"
_ROUTEROS_INDENT = "    "
_PLAIN_REST = re.compile(rf'{_ROUTEROS_INDENT}(?!-)([^\s"\\;]{{1,200}})')
_ESCAPED_REST = re.compile(rf'{_ROUTEROS_INDENT}([^"\\]{{1,200}})\\"')
_QUOTED_REST = re.compile(rf'{_ROUTEROS_INDENT}([^"\\]{{1,200}})"')


class Wrap(NamedTuple):
    """The two parts of a value."""

    #: What stands in the line itself.
    value: Value
    #: Where the rest begins and ends in the next line.
    rest: tuple[int, int]


def wrapped(line: str, value: Value, following: str) -> Wrap | None:
    """The parts of ``value``, which begins in ``line``, or None if all of it is there.

    ``following`` is the next line.
    """
    if not following:
        return None
    return _marked(line, value, following) or _broken(line, value, following)


def _marked(line: str, value: Value, following: str) -> Wrap | None:
    """Of a cipher that has lost the mark at its end."""
    start = value.start + line.startswith(_QUOTE, value.start)
    rest = _RESTS.get(line[start : start + _MARK_LENGTH])
    if rest is None or line[value.end :].strip():
        return None
    if line.find(line[start : start + _MARK_LENGTH], start + _MARK_LENGTH) >= 0:
        return None
    match = rest.match(following)
    return Wrap(value._replace(start=start), match.span(1)) if match else None


def _broken(line: str, value: Value, following: str) -> Wrap | None:
    """Of a value in a line that ends in a backslash."""
    end = len(line.rstrip("\r")) - 1
    if not line.startswith(_BREAK, max(end, 0)) or not following.startswith(_ROUTEROS_INDENT):
        return None
    if value.quoted and value.end > end:
        pattern, start = _ESCAPED_REST, value.start
    elif line.startswith(_QUOTE, value.start) and line.count(_QUOTE, value.start) == 1:
        pattern, start = _QUOTED_REST, value.start + 1
    elif value.end > end:
        pattern, start = _PLAIN_REST, value.start
    else:
        return None
    match = pattern.match(following) if start < end else None
    return Wrap(Value(start, end), match.span(1)) if match else None
