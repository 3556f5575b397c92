"""What differs between two texts, line by line.

Lines are aligned with a patience diff (Bram Cohen): lines that stand exactly once in both texts
are the anchors, and what is between them is looked at in turn. That is near linear and follows
headings rather than the separators that configurations are full of. What finds no anchor and is
small goes to ``difflib``. The work is bounded, whatever the texts: past the bound a stretch counts
as replaced as a whole, which is always right, only less fine.

A text may or may not end in a line end; that alone is no difference.
"""

from __future__ import annotations

import difflib
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

#: Largest stretch in lines x lines that ``difflib`` is asked about; its worst case is cubic.
_SMALL_AREA = 10_000
#: Sum of such areas in one comparison.
_AREA_BUDGET = 500_000
#: How often each line may be looked at on the average.
_LOOKS_PER_LINE = 40


@dataclass(frozen=True, slots=True)
class Change:
    """A stretch of lines that was replaced: ``old[old_start:old_end]``, numbers from 0.

    One of the two sides may be empty, never both.
    """

    old_start: int
    old_end: int
    new_start: int
    new_end: int


@dataclass(frozen=True, slots=True)
class _Stretch:
    old_start: int
    old_end: int
    new_start: int
    new_end: int

    @property
    def area(self) -> int:
        return (self.old_end - self.old_start) * (self.new_end - self.new_start)

    @property
    def length(self) -> int:
        return self.old_end - self.old_start + self.new_end - self.new_start


def lines_of(text: str) -> list[str]:
    """The lines of ``text`` without their ends; an LF and nothing else ends a line."""
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return lines


def align(old: Sequence[str], new: Sequence[str]) -> list[Change]:
    """The stretches in which two lists of lines differ, in order; empty when they are equal."""
    return _Alignment(old, new).changes()


def unified(
    old: Sequence[str], new: Sequence[str], changes: Sequence[Change], *, context: int = 3
) -> str:
    """The hunks of the unified diff with ``context`` equal lines around each, without file names.

    Empty when there are no changes.
    """
    parts: list[str] = []
    for hunk in _hunks(changes, context):
        parts += _hunk_lines(old, new, hunk, context)
    return "".join(f"{line}\n" for line in parts)


class _Alignment:
    """One comparison with its budget."""

    def __init__(self, old: Sequence[str], new: Sequence[str]) -> None:
        self._old = old
        self._new = new
        self._looks = _LOOKS_PER_LINE * (len(old) + len(new))
        self._area = _AREA_BUDGET

    def changes(self) -> list[Change]:
        found: list[Change] = []
        waiting = [_Stretch(0, len(self._old), 0, len(self._new))]
        while waiting:
            stretch = self._without_equal_ends(waiting.pop())
            if not stretch.length:
                continue
            parts = self._split(stretch) if stretch.area else None
            if parts is None:
                found.append(_as_change(stretch))
            else:
                waiting += parts
        found.sort(key=lambda change: (change.old_start, change.new_start))
        return list(_joined(found))

    def _without_equal_ends(self, stretch: _Stretch) -> _Stretch:
        old, new = self._old, self._new
        old_start, new_start = stretch.old_start, stretch.new_start
        old_end, new_end = stretch.old_end, stretch.new_end
        while old_start < old_end and new_start < new_end and old[old_start] == new[new_start]:
            old_start += 1
            new_start += 1
        while old_start < old_end and new_start < new_end and old[old_end - 1] == new[new_end - 1]:
            old_end -= 1
            new_end -= 1
        return _Stretch(old_start, old_end, new_start, new_end)

    def _split(self, stretch: _Stretch) -> list[_Stretch] | None:
        """The stretches between equal lines inside; None where none are found."""
        self._looks -= stretch.length
        if self._looks < 0:
            return None
        anchors = self._anchors(stretch)
        if not anchors and stretch.area <= min(_SMALL_AREA, self._area):
            self._area -= stretch.area
            anchors = self._by_difflib(stretch)
        if not anchors:
            return None
        return list(_between(stretch, anchors))

    def _anchors(self, stretch: _Stretch) -> list[tuple[int, int]]:
        """Pairs of lines that can only be each other, in rising order on both sides.

        Lines that stand there once; failing that, lines that stand on both sides equally often,
        the first with the first.
        """
        old_single = _single_places(self._old, stretch.old_start, stretch.old_end)
        new_single = _single_places(self._new, stretch.new_start, stretch.new_end)
        pairs = [(old_single[line], new_single[line]) for line in old_single.keys() & new_single]
        return _longest_rising(sorted(pairs or self._even_pairs(stretch)))

    def _even_pairs(self, stretch: _Stretch) -> list[tuple[int, int]]:
        old_places = _places(self._old, stretch.old_start, stretch.old_end)
        new_places = _places(self._new, stretch.new_start, stretch.new_end)
        shared = old_places.keys() & new_places.keys()
        even = [line for line in shared if len(old_places[line]) == len(new_places[line])]
        return [
            pair for line in even for pair in zip(old_places[line], new_places[line], strict=True)
        ]

    def _by_difflib(self, stretch: _Stretch) -> list[tuple[int, int]]:
        matcher = difflib.SequenceMatcher(
            None,
            self._old[stretch.old_start : stretch.old_end],
            self._new[stretch.new_start : stretch.new_end],
            autojunk=False,
        )
        return [
            (stretch.old_start + block.a + step, stretch.new_start + block.b + step)
            for block in matcher.get_matching_blocks()
            for step in range(block.size)
        ]


def _as_change(stretch: _Stretch) -> Change:
    return Change(stretch.old_start, stretch.old_end, stretch.new_start, stretch.new_end)


def _single_places(lines: Sequence[str], start: int, end: int) -> dict[str, int]:
    """Where the lines stand that stand there once."""
    part = lines[start:end]
    last = dict(zip(part, range(start, end), strict=True))
    if len(last) == len(part):
        return last
    first = dict(zip(reversed(part), range(end - 1, start - 1, -1), strict=True))
    return {line: place for line, place in last.items() if first[line] == place}


def _places(lines: Sequence[str], start: int, end: int) -> dict[str, list[int]]:
    places: dict[str, list[int]] = {}
    for number in range(start, end):
        places.setdefault(lines[number], []).append(number)
    return places


def _longest_rising(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The longest part of ``pairs``, rising in the first place, that rises in the second too."""
    ends: list[int] = []
    end_index: list[int] = []
    before: list[int] = []
    for index, (_, second) in enumerate(pairs):
        place = bisect_left(ends, second)
        before.append(end_index[place - 1] if place else -1)
        if place == len(ends):
            ends.append(second)
            end_index.append(index)
        else:
            ends[place] = second
            end_index[place] = index
    chain: list[tuple[int, int]] = []
    index = end_index[-1] if end_index else -1
    while index >= 0:
        chain.append(pairs[index])
        index = before[index]
    return chain[::-1]


def _between(stretch: _Stretch, anchors: Iterable[tuple[int, int]]) -> Iterator[_Stretch]:
    old_start, new_start = stretch.old_start, stretch.new_start
    for old_at, new_at in anchors:
        if old_at > old_start or new_at > new_start:
            yield _Stretch(old_start, old_at, new_start, new_at)
        old_start, new_start = old_at + 1, new_at + 1
    if old_start < stretch.old_end or new_start < stretch.new_end:
        yield _Stretch(old_start, stretch.old_end, new_start, stretch.new_end)


def _joined(changes: Iterable[Change]) -> Iterator[Change]:
    """``changes`` in order, with those that touch made one."""
    last: Change | None = None
    for change in changes:
        if last is None:
            last = change
        elif (last.old_end, last.new_end) == (change.old_start, change.new_start):
            last = Change(last.old_start, change.old_end, last.new_start, change.new_end)
        else:
            yield last
            last = change
    if last is not None:
        yield last


def _hunks(changes: Sequence[Change], context: int) -> Iterator[list[Change]]:
    """Changes whose contexts touch stand in one hunk."""
    hunk: list[Change] = []
    for change in changes:
        if hunk and change.old_start - hunk[-1].old_end > 2 * context:
            yield hunk
            hunk = []
        hunk.append(change)
    if hunk:
        yield hunk


def _hunk_lines(
    old: Sequence[str], new: Sequence[str], hunk: Sequence[Change], context: int
) -> list[str]:
    lead = min(context, hunk[0].old_start)
    tail = min(context, len(old) - hunk[-1].old_end)
    old_start, new_start = hunk[0].old_start - lead, hunk[0].new_start - lead
    old_range = _range(old_start, hunk[-1].old_end + tail)
    new_range = _range(new_start, hunk[-1].new_end + tail)
    lines = [f"@@ -{old_range} +{new_range} @@"]
    at = old_start
    for change in hunk:
        lines += [f" {line}" for line in old[at : change.old_start]]
        lines += [f"-{line}" for line in old[change.old_start : change.old_end]]
        lines += [f"+{line}" for line in new[change.new_start : change.new_end]]
        at = change.old_end
    lines += [f" {line}" for line in old[at : at + tail]]
    return lines


def _range(start: int, end: int) -> str:
    """Lines ``start`` to ``end`` as a hunk header counts them: from 1, an empty one from before."""
    length = end - start
    first = start + 1 if length else start
    return str(first) if length == 1 else f"{first},{length}"


def change_counts(changes: Iterable[Change]) -> tuple[int, int]:
    """Numbers of added and removed lines."""
    counts: Counter[str] = Counter()
    for change in changes:
        counts["added"] += change.new_end - change.new_start
        counts["removed"] += change.old_end - change.old_start
    return counts["added"], counts["removed"]
