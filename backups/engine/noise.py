"""Lines that differ in most reads of a device although nobody changed it."""

from __future__ import annotations

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from backups.engine.diff.lines import align, lines_of
from backups.engine.line_shapes import NoPattern, VolatileRule, frame_of, rule_for, shape_of

#: A line is noise when it changed so often, and in more than this share of the reads.
LEAST_FLIPS = 5
LEAST_SHARE = 0.5
#: What is looked at in one step from a revision to the next; more was somebody's work.
_MOST_CHANGED_LINES = 500
_LONGEST_LINE = 500
_MOST_SHAPES = 2_000
_MOST_VARIANTS = 200
_EXAMPLES = 5
#: How often two shapes have to take each other's place to be variants of one line.
_LEAST_SWAPS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """A stored text and how many reads in a row gave it."""

    text: str
    read_count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class NoisyLine:
    """A line that changes by itself, as far as the stored history shows."""

    #: Heading of the section that it stands in; empty at the top.
    section: str
    #: Variants of the line that were seen, the first 200 of them.
    variants: tuple[str, ...]
    #: Steps from a revision to the next in which the line changed.
    flips: int
    #: Reads that could have shown a change: one less than all reads.
    chances: int
    #: Whether the line is there in some revisions and not in others.
    comes_and_goes: bool

    @property
    def share(self) -> float:
        """Share of the reads in which the line had changed."""
        return self.flips / self.chances

    @property
    def examples(self) -> tuple[str, ...]:
        """A few variants, for people."""
        return self.variants[:_EXAMPLES]

    @property
    def key(self) -> tuple[str, str]:
        """The same for the same kind of line on another device."""
        return shape_of(self.section), frame_of(self.variants[0])


def noisy_lines(revisions: Sequence[Revision]) -> list[NoisyLine]:
    """The noise in the history of one device, ``revisions`` from the oldest to the newest.

    The most frequent comes first. Lines of more than 500 characters are not looked at, nor are
    the lines beyond the first 500 that changed from one revision to the next.
    """
    history = _History(chances=sum(revision.read_count for revision in revisions) - 1)
    texts = [lines_of(revision.text) for revision in revisions]
    for step, (old, new) in enumerate(itertools.pairwise(texts)):
        history.add(step, old, new)
    return sorted(history.noisy(), key=lambda line: (-line.flips, line.section, line.variants))


def distinct_lines(texts: Iterable[str]) -> set[str]:
    """The lines of all ``texts``, each once."""
    return {line for text in texts for line in lines_of(text)}


def propose(
    variants: Sequence[str], lines: set[str], *, drop: bool
) -> tuple[VolatileRule, list[str]]:
    """A rule for a noisy line, and which other ``lines`` it would match.

    Raises NoPattern where no rule fits the line and little else.
    """
    rule = rule_for(variants, drop=drop)
    pattern = re.compile(rule.pattern)
    others = sorted(line for line in lines.difference(variants) if pattern.match(line))
    if len(others) > len(variants) / 2:
        raise NoPattern(
            f"a rule would match {len(others)} other lines too, like {others[0][:80]!r}"
        )
    return rule, others


@dataclass(slots=True)
class _Shape:
    """What is known of the lines of one shape in one section."""

    section: str
    variants: dict[str, None] = field(default_factory=dict)
    steps: set[int] = field(default_factory=set)
    #: Numbers of lines that came minus those that went, by step.
    balance: Counter[int] = field(default_factory=Counter)


_Key = tuple[str, str]


class _History:
    def __init__(self, chances: int) -> None:
        self._chances = chances
        self._shapes: dict[_Key, _Shape] = {}
        self._swaps: Counter[tuple[_Key, _Key]] = Counter()

    def add(self, step: int, old: Sequence[str], new: Sequence[str]) -> None:
        """Look at the step from one revision to the next."""
        room = _MOST_CHANGED_LINES
        for change in align(old, new):
            gone = range(change.old_start, change.old_end)
            come = range(change.new_start, change.new_end)
            room -= len(gone) + len(come)
            if room < 0:
                return
            left = [self._note(step, -1, old, number) for number in gone]
            right = [self._note(step, 1, new, number) for number in come]
            for before, after in zip(left, right, strict=False):
                if before is not None and after is not None and before != after:
                    self._swaps[min(before, after), max(before, after)] += 1

    def _note(self, step: int, sign: int, lines: Sequence[str], number: int) -> _Key | None:
        line = lines[number]
        if not line.strip() or len(line) > _LONGEST_LINE:
            return None
        section = _section(lines, number)
        key = (shape_of(section), shape_of(line))
        shape = self._shapes.get(key)
        if shape is None:
            if len(self._shapes) >= _MOST_SHAPES:
                return None
            shape = self._shapes[key] = _Shape(section)
        shape.steps.add(step)
        shape.balance[step] += sign
        if len(shape.variants) < _MOST_VARIANTS:
            shape.variants[line] = None
        return key

    def noisy(self) -> Iterator[NoisyLine]:
        frames: defaultdict[_Key, list[_Key]] = defaultdict(list)
        for key, shape in self._shapes.items():
            frames[key[0], frame_of(next(iter(shape.variants)))].append(key)
        for keys in frames.values():
            strong = [key for key in keys if self._is_noise(self._shapes[key].steps)]
            for group in self._variants_of_one(strong) if strong else [keys]:
                steps = set().union(*(self._shapes[key].steps for key in group))
                if self._is_noise(steps):
                    yield self._line(group, steps)

    def _is_noise(self, steps: set[int]) -> bool:
        return len(steps) >= LEAST_FLIPS and len(steps) > LEAST_SHARE * self._chances

    def _variants_of_one(self, keys: Sequence[_Key]) -> list[list[_Key]]:
        """Shapes that take each other's place stand together; most frames have one or two."""
        groups: list[list[_Key]] = []
        for key in keys:
            mine = [group for group in groups if any(self._swap(key, one) for one in group)]
            groups = [group for group in groups if group not in mine]
            groups.append([key, *(one for group in mine for one in group)])
        return groups

    def _swap(self, one: _Key, other: _Key) -> bool:
        return self._swaps[min(one, other), max(one, other)] >= _LEAST_SWAPS

    def _line(self, keys: Sequence[_Key], steps: set[int]) -> NoisyLine:
        shapes = [self._shapes[key] for key in keys]
        balances = (sum(shape.balance[step] for shape in shapes) for step in steps)
        return NoisyLine(
            section=shapes[0].section,
            variants=tuple(dict.fromkeys(v for shape in shapes for v in shape.variants)),
            flips=len(steps),
            chances=self._chances,
            comes_and_goes=any(balances),
        )


def _section(lines: Sequence[str], number: int) -> str:
    """The nearest line above that is indented less; only the last 2 000 are looked at."""
    indent = _indent(lines[number])
    if not indent:
        return ""
    for above in range(number - 1, max(-1, number - 2_000), -1):
        line = lines[above]
        if line.strip() and _indent(line) < indent:
            return line.strip()
    return ""


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
