"""Searching a configuration line by line with a regular expression of a user.

RE2 takes time linear in the text whatever the pattern (https://github.com/google/re2), so nobody
can stop a server with one. It knows no lookaround and no backreferences.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice

import re2
import zstandard

#: A pattern that is longer is refused.
LONGEST_PATTERN = 1000
#: Lines found in one device beyond this number are not shown.
MOST_LINES = 100
#: A line that is longer is shown in part.
LONGEST_LINE = 500
#: Lines before and after a found one that can be asked for.
MOST_CONTEXT = 10

#: Matches in one line that are marked.
_MOST_MARKS = 50
#: How much of a long line stands before what was found in it.
_LEAD = 100
_CUT = "…"
#: Makes ``^`` and ``$`` match at the ends of each line.
_BY_LINE = "(?m)"
_PACKED_LEVEL = 3
#: What RE2 says of forms of other engines, and what we say.
_UNSUPPORTED = (
    (re.compile(r"\(\?<?[=!]"), "lookahead and lookbehind are not supported"),
    (re.compile(r"\\[1-9]|\(\?P="), "backreferences are not supported"),
    (re.compile(r"\(\?>|[*+?}]\+"), "atomic groups and possessive repetitions are not supported"),
    (re.compile(r"\(\?#"), "comments are not supported"),
    (re.compile(r"\\Z"), "'\\Z' is not supported; '$' is the end of a line"),
)
_COUNTS = re.compile(r"\{(\d+),(\d+)\}")
#: Steps over quoted parts, classes and escapes; names what would look beyond the line.
_BEYOND_LINE = re.compile(
    r"\\Q.*?(?:\\E|\Z)"
    r"|\[\^?\]?(?:\\.|\[:\^?\w+:\]|[^\]\\])*\]"
    r"|(?P<escape>\\[AzCn])|(?P<flags>\(\?[a-zA-Z]*-[a-zA-Z]*m[a-zA-Z]*[:)])|\\.",
    re.DOTALL,
)


class PatternError(ValueError):
    """A pattern cannot be searched for; the message says why, in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundLine:
    """A line that matches; ``line`` counts from 1. Long lines are cut, which an ellipsis shows."""

    line: int
    text: str
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundLines:
    """The lines of one text that match, in its order."""

    lines: tuple[FoundLine, ...] = ()
    #: Whether there are more than those that are given.
    more: bool = False


@dataclass(frozen=True, slots=True)
class LinePattern:
    """A pattern that is asked of one line at a time; ``compile_pattern`` makes it."""

    _regexp: re2._Regexp = field(repr=False)

    def is_in(self, body: bytes) -> bool:
        """Whether any line of the text ``body`` (UTF-8, lines that end in LF) matches."""
        return bool(body) and self._regexp.search(_lines_of(body)) is not None

    def find(self, body: bytes, *, context: int = 0, limit: int | None = MOST_LINES) -> FoundLines:
        """The first ``limit`` (None = all) matching lines of ``body``, ``context`` lines around."""
        if not body:
            return FoundLines()
        text = _lines_of(body)
        found: list[FoundLine] = []
        number, position = 1, 0
        while (match := self._regexp.search(text, position)) is not None:
            if len(found) == limit:
                return FoundLines(lines=tuple(found), more=True)
            start = text.rfind(b"\n", 0, match.start()) + 1
            end = _end_of_line(text, match.start())
            number += text.count(b"\n", position, start)
            found.append(
                FoundLine(
                    line=number,
                    text=_shown(text[start:end], match.start() - start),
                    before=_before(text, start, context),
                    after=_after(text, end, context),
                )
            )
            if end == len(text):
                break
            number, position = number + 1, end + 1
        return FoundLines(lines=tuple(found))

    def marks(self, line: str) -> tuple[tuple[int, int], ...]:
        """What matches in ``line``, of which ``find`` gave the text: stretches of code points.

        The first 50 of them, the ends not included.
        """
        found = (match.span() for match in islice(self._regexp.finditer(line), _MOST_MARKS))
        return tuple((start, end) for start, end in found if end > start)


def compile_pattern(
    pattern: str, *, ignore_case: bool = False, literal: bool = False
) -> LinePattern:
    """``pattern`` in the syntax of RE2, or as plain text if ``literal``.

    It is matched within each line: ``^`` and ``$`` are the ends of the line, and nothing matches
    a line end. Raises PatternError.
    """
    _refuse_unusable(pattern)
    options = re2.Options()
    options.log_errors = False
    options.never_nl = True
    options.never_capture = True
    options.literal = literal
    options.case_sensitive = not ignore_case
    try:
        compiled = re2.compile(pattern if literal else f"{_BY_LINE}{pattern}", options)
    except re2.error as error:
        raise PatternError(_explained(pattern, error)) from None
    # The module keeps up to 128 patterns of 8 MB each; users' patterns do not come twice.
    re2.purge()
    if not literal:
        _refuse_beyond_line(pattern)
    return LinePattern(compiled)


def pack(text: str) -> bytes:
    """``text`` in UTF-8 as one Zstandard frame that tells its size."""
    return zstandard.ZstdCompressor(level=_PACKED_LEVEL).compress(text.encode())


def unpack(packed: bytes | memoryview) -> bytes:
    """The bytes behind ``pack``. Raises zstandard.ZstdError for anything else."""
    return unpacker()(packed)


def unpacker() -> Callable[[bytes | memoryview], bytes]:
    """``unpack`` for many texts in one thread: it sets itself up once, a fifth of the time."""
    return zstandard.ZstdDecompressor().decompress


def _refuse_unusable(pattern: str) -> None:
    if not pattern:
        raise PatternError("the pattern is empty; give what a line has to contain")
    if len(pattern) > LONGEST_PATTERN:
        raise PatternError(f"the pattern has more than {LONGEST_PATTERN} characters")
    if "\x00" in pattern or "\n" in pattern:
        raise PatternError("the pattern holds a NUL or a line end; lines are searched one by one")


def _refuse_beyond_line(pattern: str) -> None:
    for match in _BEYOND_LINE.finditer(pattern):
        found = match["escape"] or match["flags"]
        if found:
            raise PatternError(
                f"'{found}' is not supported: lines are searched one by one, "
                "and '^' and '$' are their ends"
            )


def _explained(pattern: str, error: Exception) -> str:
    """Why ``pattern`` was refused, in one line."""
    said = error.args[0] if error.args else b""
    reason = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
    counts = _COUNTS.search(reason)
    if counts and int(counts[1]) > int(counts[2]):
        return f"'{counts[0][:70]}' repeats from more to less; give the smaller number first"
    if "too large" in reason or "repetition size" in reason:
        return "the pattern is too large; repeat at most 1000 times and nest less"
    for form, words in _UNSUPPORTED:
        if form.search(pattern):
            return f"{words} by the RE2 syntax" if words.endswith("supported") else words
    shown = pattern if len(pattern) <= 70 else f"{pattern[:70]}{_CUT}"
    return f"'{shown}' is no regular expression: {reason.replace(_BY_LINE, '')}"


def _lines_of(body: bytes) -> bytes:
    """The text without the end of its last line, behind which no line follows."""
    return body[:-1] if body.endswith(b"\n") else body


def _end_of_line(text: bytes, position: int) -> int:
    end = text.find(b"\n", position)
    return len(text) if end < 0 else end


def _before(text: bytes, start: int, count: int) -> tuple[str, ...]:
    lines: list[str] = []
    while start > 0 and len(lines) < count:
        end = start - 1
        start = text.rfind(b"\n", 0, end) + 1
        lines.insert(0, _shown(text[start:end]))
    return tuple(lines)


def _after(text: bytes, end: int, count: int) -> tuple[str, ...]:
    lines: list[str] = []
    while end < len(text) and len(lines) < count:
        start = end + 1
        end = _end_of_line(text, start)
        lines.append(_shown(text[start:end]))
    return tuple(lines)


def _shown(line: bytes, found_at: int = 0) -> str:
    """The line, or the part of a long one around the byte ``found_at``."""
    text = line.decode(errors="replace")
    if len(text) <= LONGEST_LINE:
        return text
    at = len(line[:found_at].decode(errors="replace"))
    start = 0 if at < LONGEST_LINE - _LEAD else at - _LEAD
    part = text[start : start + LONGEST_LINE]
    return f"{_CUT if start else ''}{part}{_CUT if start + LONGEST_LINE < len(text) else ''}"
