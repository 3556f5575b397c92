"""One scan over a text for many words."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence

from ahocorasick_rs import AhoCorasick, Implementation, MatchKind

#: A text is scanned in pieces of this many characters, so that the hits of a hostile one need
#: little memory at a time.
PIECE = 128 * 1024


class WordScan:
    """Finds words in a text without regard to the case of the letters A to Z.

    An automaton of Aho and Corasick: its time does not depend on the number of words (measured
    with the words of all rules: a twentieth of what one regular expression of them takes).
    """

    def __init__(self, words: Sequence[str]) -> None:
        """``words`` are lower case; none of them holds a line end."""
        self._shortest = min(map(len, words))
        self._longest = max(map(len, words))
        self._automaton = AhoCorasick(
            words, matchkind=MatchKind.LeftmostLongest, implementation=Implementation.DFA
        )

    def lines(
        self, text: str, most: int, followers: Mapping[int, Container[str] | None] | None = None
    ) -> Iterator[tuple[int, list[tuple[int, int]]]]:
        """Number of each line with a hit, and its hits: position in the line, index of the word.

        Both in order. Hits do not overlap; of two words that begin at the same place the longer
        one counts. No more than ``most`` hits of one line are named.

        ``followers`` are the signs behind each word, in lower case, that make its hits worth
        naming; None stands for any. A text in which a line could have ``most`` hits is named all
        hits of, so that they can be counted.
        """
        if followers is not None and _has_longer_line(text, (most - 1) * self._shortest):
            followers = None
        number, line_start, line_end = 0, 0, 0
        hits: list[tuple[int, int]] = []
        for word, start in self._hits(text, followers):
            if start < line_end:
                if len(hits) < most:
                    hits.append((start - line_start, word))
                continue
            if hits:
                yield number, hits
            number += text.count("\n", line_end, start)
            line_start = text.rfind("\n", line_end, start) + 1
            line_end = text.find("\n", start)
            if line_end < 0:
                line_end = len(text)
            hits = [(start - line_start, word)]
        if hits:
            yield number, hits

    def _hits(
        self, text: str, followers: Mapping[int, Container[str] | None] | None
    ) -> Iterator[tuple[int, int]]:
        """Index of the word and position of each hit in ``text``."""
        begin = 0
        while begin < len(text):
            piece = _ascii_lower(text[begin : begin + PIECE])
            is_last = begin + PIECE >= len(text)
            # Behind this place a word, or the sign behind it, may reach out of the piece.
            certain = len(piece) if is_last else len(piece) - self._longest
            end = 0
            for word, start, behind in self._automaton.find_matches_as_indexes(piece):
                if start >= certain:
                    break
                end = behind
                if followers is not None:
                    worth = followers[word]
                    if worth is not None and piece[behind : behind + 1].lower() not in worth:
                        continue
                yield word, begin + start
            begin += max(certain, end)


def _has_longer_line(text: str, length: int) -> bool:
    """Whether a line of ``text`` has more than ``length`` characters."""
    begin = 0
    while len(text) - begin > length:
        line_end = text.rfind("\n", begin, begin + length + 1)
        if line_end < 0:
            return True
        begin = line_end + 1
    return False


def _ascii_lower(text: str) -> str:
    """Lower case of the letters A to Z only, so that every position stays where it is.

    A lone surrogate becomes another sign: it stands in no word.
    """
    if text.isascii():
        return text.lower()
    return text.encode("utf-8", "replace").lower().decode("utf-8")
