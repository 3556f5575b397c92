"""Files in which nothing but its place tells a secret: keys by address and passwords by user.

``psk.txt`` of racoon, ``wpa_psk`` of hostapd and ``rsyncd.secrets``. A list of hosts has lines of
the same form, so the file as a whole has to say what it is: by its name, by its first comment, or
by values that no name looks like.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from backups.engine.redaction.key_blocks import KeyBlock

#: With neither a name nor a comment that tells, a file has at least this many entries.
FEWEST_ENTRIES = 2

# Between the files that ``tail -v`` prints.
_HEADING = re.compile(r"==> (\S{1,200}) <==\r?")
_COMMENT = "#"


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of file; group 1 of ``entry`` is the secret of a line."""

    entry: re.Pattern[str]
    #: Found in the name of the file or in its first comment.
    told_by: re.Pattern[str]


_KINDS = (
    # hostapd
    _Kind(
        re.compile(
            r"[ \t]*(?:\w{1,16}=\S{1,64}[ \t]+){0,4}[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}[ \t]+"
            r"(\S.{6,62}\S)[ \t\r]*"
        ),
        re.compile(r"wpa_?psk|\bWPA PSKs?\b", re.IGNORECASE),
    ),
    # racoon
    _Kind(
        re.compile(
            r"[ \t]*(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}"
            r"|[\w.-]{1,64}@[\w.-]{1,128}|[\w-]{1,63}(?:\.[\w-]{1,63}){1,6})[ \t]+"
            r"(\S{1,200})[ \t\r]*"
        ),
        re.compile(r"(?<![\w.-])psk\.txt\b|\bpre-?shared[ -]keys?\b", re.IGNORECASE),
    ),
    # rsync
    _Kind(
        re.compile(r"@?[A-Za-z_][\w.-]{0,63}:(?![${!*])([^\s:]{1,200})[ \t\r]*"),
        re.compile(r"\brsync\w{0,16}[._-]secrets?\b", re.IGNORECASE),
    ),
)
# Signs that no name has, numbers in hexadecimal, or letters of both cases with digits between them.
_LIKE_A_KEY = re.compile(
    r"(?![\w.-]+@[\w.-]+\Z)(?!\w+://|#)(?=\S*[!#$&@^])\S{8,}|0x[0-9A-Fa-f]{8,}|[0-9A-Fa-f]{32,64}"
    r"|(?=\S*[a-z])(?=\S*[A-Z])(?:[A-Za-z]{0,32}\d{1,8}[A-Za-z]{1,32}){2}[A-Za-z0-9]{0,64}"
)


def secret_file_blocks(lines: Sequence[str], text: str) -> list[KeyBlock]:
    """The secrets of such files in ``lines``, one block each; ``text`` is the joined lines."""
    return [
        KeyBlock(((number, *entry.span(1)),), encrypted=False)
        for name, first, end in _files(lines, text)
        for number, entry in _entries(lines, name, first, end)
    ]


def _files(lines: Sequence[str], text: str) -> Iterator[tuple[str, int, int]]:
    """Name, first line and end of each file; all of a text is one if nothing parts it."""
    headings = []
    # A single sign is searched for many times faster, and most configurations do not hold it.
    if ">" in text and "==> " in text:
        headings = [(n, m[1]) for n, line in enumerate(lines) if (m := _HEADING.fullmatch(line))]
    if not headings:
        yield "", 0, len(lines)
    ends = [*(number for number, _ in headings[1:]), len(lines)]
    for (number, name), end in zip(headings, ends, strict=False):
        yield name, number + 1, end


def _entries(
    lines: Sequence[str], name: str, first: int, end: int
) -> list[tuple[int, re.Match[str]]]:
    """The entries of a file by their lines, none if it is of no known kind."""
    numbers = (n for n in range(first, end) if not _is_passed_over(lines[n]))
    begin = next(numbers, None)
    kind = None if begin is None else _kind_of(lines[begin])
    if begin is None or kind is None:
        return []
    entries = []
    for number in (begin, *numbers):
        entry = kind.entry.fullmatch(lines[number])
        if entry is None:
            return []
        entries.append((number, entry))
    comment = "\n".join(lines[first:begin])
    is_told = kind.told_by.search(name) or kind.told_by.search(comment)
    return entries if is_told or _look_like_keys(entries) else []


def _kind_of(line: str) -> _Kind | None:
    return next((kind for kind in _KINDS if kind.entry.fullmatch(line)), None)


def _is_passed_over(line: str) -> bool:
    body = line.lstrip()
    return not body or body.startswith(_COMMENT)


def _look_like_keys(entries: Sequence[tuple[int, re.Match[str]]]) -> bool:
    """Whether half of the values, at least, are such that no name looks like them."""
    like_keys = sum(_LIKE_A_KEY.fullmatch(entry[1]) is not None for _, entry in entries)
    return len(entries) >= FEWEST_ENTRIES and 2 * like_keys >= len(entries)
