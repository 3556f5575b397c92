"""Two texts next to each other, row by row, with the parts of a line that changed."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from backups.engine.diff.lines import Change

#: Longer lines get no marks.
LONGEST_MARKED_LINE = 2_000
#: Words and signs of a line that are compared; a line with more gets no marks.
_MOST_PARTS = 300
#: Share of equal parts below which two lines are different lines, not one that was changed.
_LEAST_ALIKE = 0.4
#: Sum of parts x parts that are compared in one text; later lines get no marks.
_PARTS_BUDGET = 3_000_000
#: Lines x lines of a changed stretch in which the line that was changed into another one is
#: looked for, and the sum of them; in larger ones the first line stands beside the first.
_MOST_PAIRINGS = 400
_PAIRINGS_BUDGET = 10_000

#: Words, blanks, single signs. A combining character is no part of ``\w``, but of its word.
_PART = re.compile(r"[\w\u0080-\U0010ffff]+|\s+|[^\w\s]")

#: Half-open stretches of a line in code points.
Marks = tuple[tuple[int, int], ...]


class RowKind(StrEnum):
    """What a row shows. The values are part of the API."""

    EQUAL = "equal"
    CHANGED = "changed"
    ADDED = "added"
    REMOVED = "removed"
    #: Stands for ``count`` equal lines.
    FOLD = "fold"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row; line numbers count from 1, None where the side has no line."""

    kind: RowKind
    old_no: int | None = None
    new_no: int | None = None
    old: str = ""
    new: str = ""
    old_marks: Marks = ()
    new_marks: Marks = ()
    #: Number of lines that the row stands for.
    count: int = 1


def side_by_side(
    old: Sequence[str], new: Sequence[str], changes: Sequence[Change], *, context: int = 3
) -> Iterator[Row]:
    """The rows of both texts; equal lines further than ``context`` from a change are one fold."""
    marker = _Marker()
    old_at, new_at = 0, 0
    for number, change in enumerate(changes):
        lead = 0 if number == 0 else context
        yield from _equal_rows(old, old_at, change.old_start, new_at, lead, context)
        yield from _changed_rows(old, new, change, marker)
        old_at, new_at = change.old_end, change.new_end
    yield from _equal_rows(old, old_at, len(old), new_at, context if changes else 0, 0)


def _equal_rows(
    old: Sequence[str], start: int, end: int, new_start: int, lead: int, tail: int
) -> Iterator[Row]:
    shift = new_start - start
    hidden = end - start - lead - tail
    if hidden <= 1:  # a fold of one line would hide it and save nothing
        lead, hidden = end - start, 0
    for number in range(start, start + lead):
        yield _equal_row(old[number], number, number + shift)
    if hidden:
        first = start + lead
        yield Row(kind=RowKind.FOLD, old_no=first + 1, new_no=first + shift + 1, count=hidden)
    for number in range(start + lead + hidden, end):
        yield _equal_row(old[number], number, number + shift)


def _equal_row(line: str, old_at: int, new_at: int) -> Row:
    return Row(kind=RowKind.EQUAL, old_no=old_at + 1, new_no=new_at + 1, old=line, new=line)


def _changed_rows(
    old: Sequence[str], new: Sequence[str], change: Change, marker: _Marker
) -> Iterator[Row]:
    old_next, new_next = change.old_start, change.new_start
    for old_at, new_at in marker.pairs(old, new, change):
        yield from _single_rows(old, new, Change(old_next, old_at, new_next, new_at))
        old_next, new_next = old_at + 1, new_at + 1
        old_marks, new_marks = marker.marks(old[old_at], new[new_at])
        yield Row(
            kind=RowKind.CHANGED,
            old_no=old_at + 1,
            new_no=new_at + 1,
            old=old[old_at],
            new=new[new_at],
            old_marks=old_marks,
            new_marks=new_marks,
        )
    yield from _single_rows(old, new, Change(old_next, change.old_end, new_next, change.new_end))


def _single_rows(old: Sequence[str], new: Sequence[str], change: Change) -> Iterator[Row]:
    for number in range(change.old_start, change.old_end):
        yield Row(kind=RowKind.REMOVED, old_no=number + 1, old=old[number])
    for number in range(change.new_start, change.new_end):
        yield Row(kind=RowKind.ADDED, new_no=number + 1, new=new[number])


class _Marker:
    """Finds which lines were changed and what in them, until its budgets are spent."""

    def __init__(self) -> None:
        self._budget = _PARTS_BUDGET
        self._pairings = _PAIRINGS_BUDGET

    def pairs(
        self, old: Sequence[str], new: Sequence[str], change: Change
    ) -> Iterator[tuple[int, int]]:
        """Numbers of the lines of a changed stretch that stand beside each other, in order."""
        old_lines = old[change.old_start : change.old_end]
        new_lines = new[change.new_start : change.new_end]
        area = len(old_lines) * len(new_lines)
        if len(old_lines) == len(new_lines) or not 0 < area <= min(_MOST_PAIRINGS, self._pairings):
            steps = [(step, step) for step in range(min(len(old_lines), len(new_lines)))]
        else:
            self._pairings -= area
            steps = _most_alike(old_lines, new_lines)
        for old_step, new_step in steps:
            yield change.old_start + old_step, change.new_start + new_step

    def marks(self, old: str, new: str) -> tuple[Marks, Marks]:
        """The changed stretches of both lines; none where they are too long or too different."""
        if max(len(old), len(new)) > LONGEST_MARKED_LINE:
            return (), ()
        old_parts, new_parts = _PART.findall(old), _PART.findall(new)
        self._budget -= len(old_parts) * len(new_parts)
        if self._budget < 0 or max(len(old_parts), len(new_parts)) > _MOST_PARTS:
            return (), ()
        matcher = difflib.SequenceMatcher(None, old_parts, new_parts, autojunk=False)
        if matcher.quick_ratio() < _LEAST_ALIKE:
            return (), ()
        different = [code for code in matcher.get_opcodes() if code[0] != "equal"]
        return (
            _stretches(old_parts, [(start, end) for _, start, end, _, _ in different]),
            _stretches(new_parts, [(start, end) for _, _, _, start, end in different]),
        )


def _most_alike(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, int]]:
    """The pairs of lines, rising on both sides, that are the most alike in sum."""
    old_parts = [set(_PART.findall(line[:LONGEST_MARKED_LINE])) for line in old]
    new_parts = [set(_PART.findall(line[:LONGEST_MARKED_LINE])) for line in new]
    # best[i][j]: the largest sum that the lines from i and from j on can reach.
    best = [[0.0] * (len(new) + 1) for _ in range(len(old) + 1)]
    alike = [[_share(one, other) for other in new_parts] for one in old_parts]
    for i in reversed(range(len(old))):
        for j in reversed(range(len(new))):
            best[i][j] = max(best[i + 1][j], best[i][j + 1], best[i + 1][j + 1] + alike[i][j])
    pairs, i, j = [], 0, 0
    while i < len(old) and j < len(new):
        if alike[i][j] and best[i][j] == best[i + 1][j + 1] + alike[i][j]:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            j += 1
    return pairs


def _share(one: set[str], other: set[str]) -> float:
    """Share of parts that two lines have in common; 0 below the least."""
    share = len(one & other) / max(1, len(one | other))
    return share if share >= _LEAST_ALIKE else 0.0


def _stretches(parts: Sequence[str], ranges: Sequence[tuple[int, int]]) -> Marks:
    """Ranges of parts as stretches of characters; empty ones are left out."""
    offsets = [0]
    for part in parts:
        offsets.append(offsets[-1] + len(part))
    return tuple((offsets[start], offsets[end]) for start, end in ranges if end > start)
