"""Telling the parts of a configuration's lines apart, so that pages can colour them.

Pygments has no lexers for these languages, and what helps the eye most they share: comments,
headings of sections, words that take something away, addresses, quoted texts, tokens of secrets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from enum import StrEnum

from backups.engine.redaction.tokens import REDACTED_LINE, TOKEN

#: A longer line is one plain part.
LONGEST_COLOURED_LINE = 2_000


class PartKind(StrEnum):
    """What a part of a line is."""

    PLAIN = "plain"
    COMMENT = "comment"
    HEADING = "heading"
    NEGATION = "negation"
    ADDRESS = "address"
    QUOTED = "quoted"
    REDACTED = "redacted"


#: A part and what it is.
Part = tuple[PartKind, str]

#: Comment signs of many platforms; a definition may name another one.
_COMMENT_SIGNS = ("!", "#", "/*", "//")
_PARTS = re.compile(
    rf"(?P<redacted>{TOKEN.pattern}|{re.escape(REDACTED_LINE)})"
    r'|(?P<quoted>"[^"]*")'
    r"|(?P<address>(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}(?:/\d{1,2})?"
    r"|(?:[0-9A-Fa-f]{1,4}:|::)(?:[0-9A-Fa-f]{0,4}:){1,6}[0-9A-Fa-f]{0,4}(?:/\d{1,3})?"
    r"|[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4})(?![\w.:]))"
    r"|(?P<negation>(?:(?<=^)|(?<=\s))(?:no|undo|delete|deactivate|inactive:|shutdown|disable)"
    r"(?=\s|;|$))"
)


def coloured_lines(
    lines: Sequence[str], *, start: int = 0, end: int | None = None, comment_sign: str | None = None
) -> Iterator[list[Part]]:
    """The parts of ``lines[start:end]``, line by line; together they are the line.

    ``comment_sign`` is what begins a comment on the platform, None for the usual signs. A line is
    a heading when the next one is indented more, or when it opens a brace.
    """
    signs = (comment_sign,) if comment_sign else _COMMENT_SIGNS
    last = len(lines) if end is None else min(end, len(lines))
    for number in range(start, last):
        line = lines[number]
        following = lines[number + 1] if number + 1 < len(lines) else ""
        yield list(_parts(line, following, signs))


def _parts(line: str, following: str, signs: tuple[str, ...]) -> Iterator[Part]:
    if len(line) > LONGEST_COLOURED_LINE:
        yield PartKind.PLAIN, line
        return
    if line.lstrip().startswith(signs):
        # A token of a secret is shown as one everywhere.
        yield from _split(line, PartKind.COMMENT, only_tokens=True)
        return
    is_heading = line.endswith("{") or (
        bool(line.strip()) and bool(following.strip()) and _indent(following) > _indent(line)
    )
    yield from _split(line, PartKind.HEADING if is_heading else PartKind.PLAIN)


def _split(line: str, rest: PartKind, *, only_tokens: bool = False) -> Iterator[Part]:
    at = 0
    for match in _PARTS.finditer(line):
        kind = PartKind(match.lastgroup or rest)
        if only_tokens and kind is not PartKind.REDACTED:
            continue
        if match.start() > at:
            yield rest, line[at : match.start()]
        yield kind, match[0]
        at = match.end()
    if at < len(line):
        yield rest, line[at:]


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
