"""Private keys that stand in blocks of lines, and in one line with escaped line ends."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from backups.engine.redaction.tokens import TOKEN

#: A block ends within this many lines (a 16384-bit RSA key has about 210).
MOST_LINES = 500
#: Its END mark begins within this many characters of its line.
_END_COLUMN = 2000

_KIND = r"(?:PRIVATE KEY|Static key|tls-crypt-v2)"
_BEGIN = re.compile(rf"-{{4,5}} ?BEGIN (?P<kind>[^\n-]{{0,60}}{_KIND}[^\n-]{{0,20}}?) ?-{{4,5}}")
_END = re.compile(rf"-{{4,5}} ?END [^\n-]{{0,60}}{_KIND}[^\n-]{{0,20}}-{{4,5}}")
# Lines of a block that are not the key: RFC 1421 and RFC 4716 headers.
_HEADER = re.compile(r"\s*(?:Proc-Type|DEK-Info|Comment|Subject|X-[\w-]+): ")
_KEY_MATERIAL = re.compile(r"""[\s"']*[A-Za-z0-9+/=:]{8,}[\s"';]*""")
# An element whose text fills the lines up to its end.
_OPEN_ELEMENT = re.compile(
    r"<(?P<name>(?:[\w.-]*-)?(?:private-?_?key|prv|tls-auth|static_key|secret-key))>[ \t\r]*$", re.M
)
_CLOSING = re.compile(r"</([\w.-]+)>")
# OpenVPN says in the first lines of such a key what it is.
_WITH_COMMENTS = frozenset({"tls-auth", "static_key"})
_COMMENT = re.compile(r"[ \t]*#(?:[ \t].*)?\r?$")
# Strings of JSON hold the line ends as escapes, and may hold headers between them.
_PIECE = re.compile(
    rf"{TOKEN.pattern}|\\[nrt]|(?:Proc-Type|DEK-Info): [^\s\"'<>\\]+|([^\s\"'<>\\]+)"
)


@dataclass(frozen=True, slots=True)
class KeyBlock:
    """The pieces of one private key."""

    #: Line number, start and end of each piece.
    pieces: tuple[tuple[int, int, int], ...]
    #: Encrypted keys are encrypted anew at each export.
    encrypted: bool


def key_blocks(lines: Sequence[str], text: str) -> list[KeyBlock]:
    """All private keys of ``lines``; ``text`` is the joined lines."""
    blocks: list[KeyBlock] = []
    if "BEGIN " in text:
        blocks += _pem_blocks(lines)
    if "<" in text and _OPEN_ELEMENT.search(text):
        blocks += _element_blocks(lines)
    return blocks


def _pem_blocks(lines: Sequence[str]) -> list[KeyBlock]:
    blocks = []
    ends = _ends(lines)
    done = (-1, 0)
    for number, line in enumerate(lines):
        if "BEGIN" not in line or number < done[0]:
            continue
        for begin in _BEGIN.finditer(line):
            if (number, begin.start()) < done:
                continue
            pieces, done = _pem_pieces(lines, ends, number, begin.end())
            encrypted = "ENCRYPTED" in begin.group("kind") or _says_encrypted(lines, number)
            blocks.append(KeyBlock(tuple(pieces), encrypted))
    return blocks


def _says_encrypted(lines: Sequence[str], number: int) -> bool:
    return "ENCRYPTED" in "".join(
        line[:60] for line in lines[number + 1 : number + 3] if _HEADER.match(line)
    )


def _ends(lines: Sequence[str]) -> list[tuple[int, int]]:
    """Line and column of the first END mark of each line that has one."""
    found = [
        (number, _END.search(line, 0, _END_COLUMN))
        for number, line in enumerate(lines)
        if "END " in line
    ]
    return [(number, end.start()) for number, end in found if end is not None]


def _pem_pieces(
    lines: Sequence[str], ends: Sequence[tuple[int, int]], number: int, start: int
) -> tuple[list[tuple[int, int, int]], tuple[int, int]]:
    """Pieces from behind a BEGIN mark to its END, and where that is."""
    end = _END.search(lines[number], start)
    if end is not None:
        return _line_pieces(lines, number, start, end.start()), (number, end.end())
    last = _end_line(lines, ends, number)
    pieces = _line_pieces(lines, number, start, len(lines[number]))
    for inner in range(number + 1, last[0]):
        if not _HEADER.match(lines[inner]):
            pieces += _line_pieces(lines, inner, 0, len(lines[inner]))
    if last[1]:
        pieces += _line_pieces(lines, last[0], 0, last[1])
    return pieces, last


def _end_line(
    lines: Sequence[str], ends: Sequence[tuple[int, int]], number: int
) -> tuple[int, int]:
    """Line and column of the END mark; without one, the first line that is no key material."""
    index = bisect_left(ends, (number + 1, 0))
    if index < len(ends) and ends[index][0] < number + MOST_LINES:
        return ends[index]
    for inner in range(number + 1, len(lines)):
        if not _HEADER.match(lines[inner]) and not _KEY_MATERIAL.fullmatch(lines[inner]):
            return inner, 0
    return len(lines), 0


def _line_pieces(
    lines: Sequence[str], number: int, start: int, end: int
) -> list[tuple[int, int, int]]:
    found = _PIECE.finditer(lines[number], start, end)
    return [(number, *match.span(1)) for match in found if match.group(1)]


def _element_blocks(lines: Sequence[str]) -> list[KeyBlock]:
    blocks = []
    closings = _closings(lines)
    done = -1
    for number, line in enumerate(lines):
        opened = _OPEN_ELEMENT.search(line) if number >= done and ">" in line else None
        if opened is None:
            continue
        numbers = closings.get(opened.group("name"), [])
        index = bisect_right(numbers, number)
        if index == len(numbers) or numbers[index] >= number + MOST_LINES:
            continue
        last = done = numbers[index]
        has_comments = opened.group("name") in _WITH_COMMENTS
        pieces = [
            piece
            for inner in range(number + 1, last)
            if "-----" not in lines[inner] and not (has_comments and _COMMENT.match(lines[inner]))
            for piece in _line_pieces(lines, inner, 0, len(lines[inner]))
        ]
        end = lines[last].index(f"</{opened.group('name')}>")
        pieces += _line_pieces(lines, last, 0, end)
        blocks.append(KeyBlock(tuple(pieces), encrypted=False))
    return blocks


def _closings(lines: Sequence[str]) -> dict[str, list[int]]:
    """Numbers of the lines with the end of an element, by its name."""
    found: dict[str, list[int]] = {}
    for number, line in enumerate(lines):
        if "</" in line:
            for name in _CLOSING.findall(line):
                found.setdefault(name, []).append(number)
    return found
