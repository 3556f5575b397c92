"""Free text inside a configuration: descriptions, remarks, banners.

People write the words that redaction looks for there, without a secret behind them.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence

from backups.engine.redaction.patterns import LINE_BEGIN, begins_with
from inventory.platforms.definition import Vocabulary

#: A banner may have this many lines. Without its end in sight it is no banner: all rules apply.
BANNER_LINES = 120

_BANNER = re.compile(
    r"^\s*(?:set\s+)?(?:banner|header)"
    r"(?:[ \t]+(?:exec|motd|login|incoming|slip-ppp|shell|legal|prelogin|prompt-timeout"
    r"|config-save|post-login|pre-login|information))*"
    r"(?:[ \t]+(\S[^\n]*?))?[ \t\r]*$"
)
_NAMED_END = "EOF"
#: Names of XML elements are looked at this far.
TAG_LENGTH = 64
_TAG_NAME = re.compile(r"/?[\w.:-]*")
_BEGINS = (LINE_BEGIN, r"\b")
_CDATA = "<![CDATA["
_QUOTES = "\"'"
# Signs that tokens, hashes and ciphers are made of end no banner: it would end elsewhere after
# redaction. IOS itself always prints ^C.
_NO_MARK = re.compile(r"[A-Za-z0-9$<>:/+=.\-\[]")


def banner_end(lines: Sequence[str], number: int) -> int:
    """Number of the last line of the banner that line ``number`` opens, or -1 if it opens none."""
    match = _BANNER.match(lines[number][:500])
    if match is None:
        return -1
    text = match.group(1) or ""
    if _NO_MARK.match(text):
        return -1
    mark = _mark(text)
    if mark and mark in text[len(mark) :]:
        return number
    for last in range(number + 1, min(number + BANNER_LINES, len(lines))):
        line = lines[last]
        if mark in line if mark else line.strip() == _NAMED_END:
            return last
    return -1


def _mark(text: str) -> str:
    """The sign that ends a banner whose first line holds ``text`` behind the command."""
    if text.startswith("^") and len(text) > 1:
        return text[:2]
    return text[:1]


class ProseReader:
    """Finds free text in single lines."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._opening = re.compile("|".join(_joined(vocabulary.prose)))
        self._signs = vocabulary.prose_signs

    def spans(self, line: str, position: int = 0) -> list[tuple[int, int]]:
        """The pieces of free text in ``line`` from ``position`` on, as (start, end).

        What opens one reaches to the closing quote if a quote follows, in the name of an XML
        element to the end of that element, else to the end of the line.
        """
        found: list[tuple[int, int]] = []
        if not self._may_hold_any(line):
            return found
        while (match := self._opening.search(line, position)) is not None:
            in_tag = _in_tag(line, match.start())
            end = _element_end(line, match.end()) if in_tag else _text_end(line, match.end())
            found.append((match.start(), end))
            if end >= len(line):
                break
            position = max(end, match.end())
        return found

    def _may_hold_any(self, line: str) -> bool:
        # Letters outside ASCII may stand for others where case is disregarded.
        return any(map(line.lower().__contains__, self._signs)) or not line.isascii()


def _joined(patterns: Sequence[str]) -> Iterator[str]:
    """``patterns``, neighbours that begin alike as one: most places fail at the begin already."""
    for begin, alike in itertools.groupby(patterns, _begin):
        yield begin + "(?:" + "|".join(f"(?:{one.removeprefix(begin)})" for one in alike) + ")"


def _begin(pattern: str) -> str:
    return next((begin for begin in _BEGINS if begins_with(pattern, begin)), "")


def _in_tag(line: str, start: int) -> bool:
    """Whether the name of an XML element, or the one of its end, reaches to ``start``."""
    opened = line.rfind("<", max(0, start - TAG_LENGTH), start)
    return opened >= 0 and _TAG_NAME.fullmatch(line, opened + 1, start) is not None


def _element_end(line: str, start: int) -> int:
    """Where the text of the element whose tag is at ``start`` ends in this line."""
    tag_end = line.find(">", start)
    if tag_end < 0:
        return len(line)
    text = tag_end + 1
    if line.startswith(_CDATA, text):
        text += len(_CDATA)
    end = line.find("<", text)
    return end if end >= 0 else len(line)


def _text_end(line: str, start: int) -> int:
    quote = line[start : start + 1]
    if not quote or quote not in _QUOTES:
        return len(line)
    position = start + 1
    while (position := line.find(quote, position)) != -1:
        if line[position - 1] != "\\":
            return position + 1
        position += 1
    return len(line)
