"""Private keys that stand in blocks of lines, and in one line with escaped line ends."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from backups.engine.redaction.tokens import TOKEN

#: A block ends within this many lines (a 16384-bit RSA key has about 210).
MOST_LINES = 500

_BEGIN = re.compile(
    r"-{4,5} ?BEGIN (?P<kind>[^\n-]{0,60}(?:PRIVATE KEY|Static key)[^\n-]{0,20}?) ?-{4,5}"
)
_END = re.compile(r"-{4,5} ?END [^\n-]{0,60}(?:PRIVATE KEY|Static key)[^\n-]{0,20}-{4,5}")
# Lines of a block that are not the key: RFC 1421 and RFC 4716 headers.
_HEADER = re.compile(r"\s*(?:Proc-Type|DEK-Info|Comment|Subject|X-[\w-]+): ")
_KEY_MATERIAL = re.compile(r"""[\s"']*[A-Za-z0-9+/=:]{8,}[\s"';]*""")
# An element whose text fills the lines up to its end.
_OPEN_ELEMENT = re.compile(
    r"<(?P<name>(?:[\w.-]*-)?(?:private-?_?key|prv|tls-auth|static_key|secret-key))>[ \t\r]*$", re.M
)
# Strings of JSON hold the line ends as escapes.
_PIECE = re.compile(rf"{TOKEN.pattern}|\\[nrt]|([^\s\"'<>\\]+)")


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
    if _OPEN_ELEMENT.search(text):
        blocks += _element_blocks(lines)
    return blocks


def _pem_blocks(lines: Sequence[str]) -> list[KeyBlock]:
    blocks = []
    done = (-1, 0)
    for number, line in enumerate(lines):
        if "BEGIN" not in line or number < done[0]:
            continue
        for begin in _BEGIN.finditer(line):
            if (number, begin.start()) < done:
                continue
            pieces, done = _pem_pieces(lines, number, begin.end())
            encrypted = "ENCRYPTED" in begin.group("kind") or _says_encrypted(lines, number)
            blocks.append(KeyBlock(tuple(pieces), encrypted))
    return blocks


def _says_encrypted(lines: Sequence[str], number: int) -> bool:
    return "ENCRYPTED" in "".join(
        line[:60] for line in lines[number + 1 : number + 3] if _HEADER.match(line)
    )


def _pem_pieces(
    lines: Sequence[str], number: int, start: int
) -> tuple[list[tuple[int, int, int]], tuple[int, int]]:
    """Pieces from behind a BEGIN mark to its END, and where that is."""
    end = _END.search(lines[number], start)
    if end is not None:
        return _line_pieces(lines, number, start, end.start()), (number, end.end())
    last = _end_line(lines, number)
    pieces = _line_pieces(lines, number, start, len(lines[number]))
    for inner in range(number + 1, last[0]):
        if not _HEADER.match(lines[inner]):
            pieces += _line_pieces(lines, inner, 0, len(lines[inner]))
    if last[1]:
        pieces += _line_pieces(lines, last[0], 0, last[1])
    return pieces, last


def _end_line(lines: Sequence[str], number: int) -> tuple[int, int]:
    """Line and column of the END mark; without one, the first line that is no key material."""
    for inner in range(number + 1, min(number + MOST_LINES, len(lines))):
        end = _END.search(lines[inner][:2000])
        if end is not None:
            return inner, end.start()
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
    for number, line in enumerate(lines):
        opened = _OPEN_ELEMENT.search(line)
        if opened is None:
            continue
        closing = f"</{opened.group('name')}>"
        for last in range(number + 1, min(number + MOST_LINES, len(lines))):
            if closing in lines[last]:
                pieces = [
                    piece
                    for inner in range(number + 1, last)
                    if "-----" not in lines[inner]
                    for piece in _line_pieces(lines, inner, 0, len(lines[inner]))
                ]
                pieces += _line_pieces(lines, last, 0, lines[last].index(closing))
                blocks.append(KeyBlock(tuple(pieces), encrypted=False))
                break
    return blocks
