"""Signs that hide a word from the rules, and how the lines read without them.

Bytes that are no text (``clean_text`` shows them as ``\\xNN``), invisible characters, other blanks
than space and tab, and the letters and quotes of other widths. A device prints them where a line
is noisy or where somebody pasted from a document; the value behind the word is a secret all the
same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_ESCAPE = r"\\x[0-9a-f]{2}|\\u[0-9a-f]{4}|\\U[0-9a-f]{8}"
_BAD_HEAD = re.compile(rf"^(?:[ \t]|{_ESCAPE})++", re.MULTILINE)
_INVISIBLE = re.compile(
    rf"{_ESCAPE}|[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5"
    r"\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\ufff9-\ufffb]"
)
_BLANK = "\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)
_LOOKS_LIKE = {
    **dict.fromkeys(map(ord, _BLANK), " "),
    **dict.fromkeys(map(ord, "\u201c\u201d\u201e\u201f\u00ab\u00bb\u2033"), '"'),
    **dict.fromkeys(map(ord, "\u2018\u2019\u201a\u201b\u2032"), "'"),
    # Halfwidth and fullwidth forms (Unicode block FF00) of the printable ASCII signs.
    **{0xFEE0 + sign: chr(sign) for sign in range(0x21, 0x7F)},
}
_PLAIN = bytes(range(0x20, 0x7F)) + b"\t\n\r"
_CR_INSIDE = re.compile(r"\r(?![\r\n]|\Z)")


@dataclass(frozen=True, slots=True)
class Reading:
    """A text as it reads without its disguises; every line has the number that it had."""

    lines: Sequence[str]
    text: str
    #: Lines that read otherwise than they are written.
    numbers: frozenset[int]
    #: What is left out, so that what follows it stands further to the left; None for nothing.
    left_out: re.Pattern[str] | None

    def span(self, line: str, number: int, start: int, end: int) -> tuple[int, int]:
        """Where the signs from ``start`` to ``end`` stand in ``line``, which is line ``number``."""
        if self.left_out is None or number not in self.numbers:
            return start, end
        kept = _kept(line, self.left_out)
        last = kept[end - 1]
        # What is left out behind a blank belongs to what the blank belongs to.
        if line[last] in " \t" and end < len(kept):
            return kept[start], kept[end]
        return kept[start], last + 1


def readings(lines: Sequence[str], text: str) -> Iterator[Reading]:
    """How ``text`` reads with blanks in place of its disguises, and how without them."""
    if not is_disguised(text):
        return
    blanked = _plain(_INVISIBLE.sub(lambda match: " " * len(match.group()), text))
    shortened = _plain(_INVISIBLE.sub("", text))
    yield _reading(lines, blanked, None)
    if len(shortened) != len(text):
        yield _reading(lines, shortened, _INVISIBLE)


def is_disguised(text: str) -> bool:
    """Whether anything in ``text`` may hide a word; most texts hold nothing of that kind."""
    return not text.isascii() or _has_escapes(text) or _has_controls(text)


def without_bad_heads(lines: list[str], text: str) -> tuple[list[str], str]:
    """``lines`` and ``text`` with blanks in place of what would hide the first word of a line."""
    if not _has_escapes(text):
        return lines, text
    text = _BAD_HEAD.sub(lambda head: " " * len(head.group()), text)
    return text.split("\n"), text


def _has_escapes(text: str) -> bool:
    # Python looks for one sign some fifty times as fast as for two.
    return "\\" in text and any(escape in text for escape in ("\\x", "\\u", "\\U"))


def _has_controls(text: str) -> bool:
    if text.encode("utf-8", "replace").translate(None, _PLAIN):
        return True
    return "\r" in text and _CR_INSIDE.search(text) is not None


def _plain(text: str) -> str:
    """``text`` with plain signs for those that look like them, each in its place."""
    return _CR_INSIDE.sub(" ", text.translate(_LOOKS_LIKE))


def _reading(lines: Sequence[str], text: str, left_out: re.Pattern[str] | None) -> Reading:
    read = text.split("\n")
    numbers = frozenset(number for number, line in enumerate(lines) if line != read[number])
    return Reading(read, text, numbers, left_out)


def _kept(line: str, left_out: re.Pattern[str]) -> list[int]:
    """Positions of the signs of ``line`` that are not left out."""
    kept: list[int] = []
    position = 0
    for match in left_out.finditer(line):
        kept += range(position, match.start())
        position = match.end()
    kept += range(position, len(line))
    return kept
