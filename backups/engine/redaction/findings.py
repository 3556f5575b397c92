"""What the rules found in the lines of a text."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

#: A value that short stands in too many other words to be looked for elsewhere.
SHORTEST_ECHO = 4


class Secret(NamedTuple):
    """A piece of a line that is replaced."""

    start: int
    end: int
    rule: str
    #: Word that names how the secret is encoded (``"7"``), or empty.
    encoding: str
    constant: bool


class LineFindings:
    """What was found in one line. Every list is sorted, and its entries do not overlap."""

    __slots__ = ("judged", "mentions", "overfull", "prose", "secrets", "shared")

    def __init__(self, *, overfull: bool = False) -> None:
        self.secrets: list[Secret] = []
        #: Words that a rule has judged, as (start, end), whether there was a secret or not.
        self.judged: list[tuple[int, int]] = []
        #: Keywords of the second pass in the line, as (start, end).
        self.mentions: list[tuple[int, int]] = []
        #: Pieces of free text in the line, as (start, end); None as long as nobody asked.
        self.prose: list[tuple[int, int]] | None = None
        #: More words than a configuration has in one line, or a value that no rule knows.
        self.overfull = overfull
        #: Whether these are the findings of several lines; nothing may be added then.
        self.shared = False

    @property
    def is_empty(self) -> bool:
        return not (self.secrets or self.mentions or self.overfull)

    def copy(self) -> LineFindings:
        """The same findings, to which secrets can be added."""
        copied = LineFindings(overfull=self.overfull)
        copied.secrets = [*self.secrets]
        copied.judged, copied.mentions, copied.prose = self.judged, self.mentions, self.prose
        return copied

    def in_secret(self, position: int) -> bool:
        if not self.secrets or position >= self.secrets[-1].end:
            return False
        index = bisect_right(self.secrets, position, key=_start)
        return index > 0 and position < self.secrets[index - 1].end

    def add(self, secret: Secret) -> None:
        """Keeps ``secret`` unless it overlaps with one that is known."""
        if not self.secrets or secret.start >= self.secrets[-1].end:
            self.secrets.append(secret)
            return
        index = bisect_right(self.secrets, secret.start, key=_start)
        before_free = index == 0 or self.secrets[index - 1].end <= secret.start
        after_free = index == len(self.secrets) or secret.end <= self.secrets[index].start
        if before_free and after_free:
            self.secrets.insert(index, secret)

    def merge(self, secret: Secret) -> None:
        """Keeps ``secret``, as one with those that it overlaps with."""
        first = bisect_right(self.secrets, secret.start, key=_start)
        if first and self.secrets[first - 1].end > secret.start:
            first -= 1
        last = first
        while last < len(self.secrets) and self.secrets[last].start < secret.end:
            last += 1
        same = self.secrets[first:last]
        if same:
            start = min(secret.start, same[0].start)
            secret = same[0]._replace(start=start, end=max(secret.end, same[-1].end))
        self.secrets[first:last] = [secret]


class Findings:
    """The findings of a text, by line number; lines without any are left out."""

    def __init__(self) -> None:
        self.lines: dict[int, LineFindings] = {}

    def keep(self, number: int, found: LineFindings) -> None:
        """Takes ``found`` as the findings of line ``number``."""
        if not found.is_empty:
            self.lines[number] = found

    def share(self, number: int, found: LineFindings) -> None:
        """Takes the findings of another line, which has the same letters."""
        found.shared = True
        self.keep(number, found)

    def add(self, number: int, secret: Secret) -> None:
        """Adds a secret that was found from another line, unless it overlaps with a known one."""
        self._own(number).add(secret)

    def merge(self, number: int, secret: Secret) -> None:
        """Adds a secret that was found by reading the line otherwise."""
        self._own(number).merge(secret)

    def take_out(self, number: int) -> None:
        """Notes that line ``number`` holds what nobody has judged."""
        self.lines[number] = LineFindings(overfull=True)

    def _own(self, number: int) -> LineFindings:
        """The findings of line ``number``, of that line alone."""
        found = self.lines.setdefault(number, LineFindings())
        if found.shared:
            found = self.lines[number] = found.copy()
        return found


def covers(spans: Sequence[tuple[int, int]], start: int, end: int) -> bool:
    """Whether one of the sorted ``spans`` overlaps with ``start`` to ``end``."""
    index = bisect_right(spans, (start, end))
    left = index > 0 and spans[index - 1][1] > start
    return left or (index < len(spans) and spans[index][0] < end)


def _start(secret: Secret) -> int:
    return secret.start


def echoes(
    lines: Sequence[str],
    findings: Mapping[int, LineFindings],
    echoing: Mapping[str, re.Pattern[str]],
) -> Iterator[tuple[int, Secret]]:
    """Secrets that stand in other lines again, as (line number, secret).

    ``echoing`` says by rule name in which lines to look.
    """
    known: dict[tuple[str, str], Secret] = {}
    for number, found in findings.items():
        for secret in found.secrets:
            if secret.rule in echoing and secret.end - secret.start >= SHORTEST_ECHO:
                value = lines[number][secret.start : secret.end]
                known.setdefault((secret.rule, value), secret)
    by_rule: dict[str, dict[str, Secret]] = {}
    for (rule, value), secret in known.items():
        by_rule.setdefault(rule, {})[value] = secret
    for rule, secrets in by_rule.items():
        yield from _repeated(lines, echoing[rule], secrets)


def _repeated(
    lines: Sequence[str], echo: re.Pattern[str], secrets: Mapping[str, Secret]
) -> Iterator[tuple[int, Secret]]:
    longest_first = sorted(secrets, key=len, reverse=True)
    values = re.compile(rf"(?<![\w.-])(?:{'|'.join(map(re.escape, longest_first))})(?![\w.-])")
    for number, line in enumerate(lines):
        if not echo.search(line):
            continue
        for match in values.finditer(line):
            secret = secrets[match.group()]
            yield (
                number,
                Secret(*match.span(), secret.rule, secret.encoding, secret.constant),
            )
