"""One scan over a text for many words."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate


class WordScan:
    """Finds words in a text without regard to the case of the letters A to Z."""

    def __init__(self, words: Iterable[str]) -> None:
        """``words`` are lower case."""
        self._pattern = re.compile(_alternatives(words))

    def hits(self, lines: Sequence[str], text: str) -> Iterator[tuple[int, int, str]]:
        """Line number, position in the line and word of each hit, in order.

        ``text`` is the joined ``lines``. Hits do not overlap; of two words that begin at the same
        place the longer one counts.
        """
        starts = list(accumulate((len(line) + 1 for line in lines), initial=0))
        number, line_start, next_start = 0, 0, starts[1]
        for match in self._pattern.finditer(_ascii_lower(text)):
            position = match.start()
            if position >= next_start:
                number = bisect_right(starts, position, lo=number) - 1
                line_start, next_start = starts[number], starts[number + 1]
            yield number, position - line_start, match.group()


def _ascii_lower(text: str) -> str:
    """Lower case of the letters A to Z only, so that every position stays where it is."""
    if text.isascii():
        return text.lower()
    return text.encode("utf-8", "surrogatepass").lower().decode("utf-8", "surrogatepass")


def _alternatives(words: Iterable[str]) -> str:
    """One pattern for all ``words``, as a tree of their letters: the longest word wins.

    Python tries alternatives one after the other; the tree leaves it one letter to look at where
    a plain list would be tried in full at every position (measured: three times as fast).
    """
    tree: dict[str, dict] = {}  # type: ignore[type-arg] # a tree of itself
    for word in words:
        node = tree
        for letter in word:
            node = node.setdefault(letter, {})
        node[""] = {}
    return _branch(tree)


def _branch(tree: Mapping[str, dict]) -> str:  # type: ignore[type-arg] # a tree of itself
    branches = [re.escape(letter) + _branch(tree[letter]) for letter in sorted(tree) if letter]
    if not branches:
        return ""
    if "" in tree:
        return f"(?:{'|'.join(branches)})?"
    return branches[0] if len(branches) == 1 else f"(?:{'|'.join(branches)})"
