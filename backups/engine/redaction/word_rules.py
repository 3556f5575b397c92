"""Which rules are asked where a word of the scan stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from backups.engine.redaction.asks import BLANKS, Ask, Asks
from inventory.platforms.definition import Left, RedactionRule, ValueKind

#: What may stand directly before a word that does not stand alone.
IN_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.")
_BANNER_WORDS = frozenset({"banner", "header"})
#: Stands for every sign behind a word that matters to no rule. No word holds it.
_ANY_OTHER = "\n"


#: By whether the word stands alone, and whether it is written in lower case.
_ByPlace = tuple[tuple[Asks, Asks], tuple[Asks, Asks]]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A word that stands at a hit, with the rules that can apply to it there."""

    #: Where it begins, counted from the hit.
    offset: int
    word: str
    #: Whether it ends behind the hit, so that the text has to be looked at.
    reaches_further: bool
    rules: _ByPlace


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the scan, with the words that begin inside it.

    The scan takes the longest word at a place and goes on behind it.
    """

    length: int
    #: In the order in which they are asked, by the sign behind the hit.
    followed_by: Mapping[str, tuple[Candidate, ...]]
    #: The same for all other signs, and for the end of the line.
    otherwise: tuple[Candidate, ...]
    #: Where keywords of the second pass stand in the word, as (start, end).
    mentions: tuple[tuple[int, int], ...]
    opens_banner: bool

    def candidates(self, line: str, start: int) -> tuple[Candidate, ...]:
        """The words with rules for them at a hit in ``line`` that begins at ``start``."""
        end = start + self.length
        return self.followed_by.get(line[end : end + 1].lower(), self.otherwise)

    def followers(self) -> frozenset[str] | None:
        """The signs behind a hit, in lower case, that leave it something to say; None for any."""
        if self.otherwise or self.mentions or self.opens_banner:
            return None
        return frozenset(sign for sign, found in self.followed_by.items() if found)


class Words(dict[int, Word]):
    """The words of the scan by their index in ``spelled``.

    Each is worked out when it is hit for the first time: a text hits few of those of all rules.
    Two threads may do so at once; they come to the same.
    """

    def __init__(self, rules: Sequence[RedactionRule], keywords: Sequence[str]) -> None:
        """``keywords`` are those of the second pass, in lower case."""
        super().__init__()
        self._keywords = keywords
        self._by_word: dict[str, list[Ask]] = {keyword: [] for keyword in keywords}
        for rule in rules:
            ask = Ask.about(rule)
            for word in rule.words:
                self._by_word.setdefault(word, []).append(ask)
        self._by_start: dict[str, list[str]] = {}
        for word in sorted(self._by_word, key=len, reverse=True):
            for end in range(1, len(word)):
                self._by_start.setdefault(word[:end], []).append(word)
        self.followers = _Followers(self)
        #: All words that are worth a look by themselves.
        self.spelled = tuple({**self._by_word, **dict.fromkeys(_BANNER_WORDS)})

    def __missing__(self, index: int) -> Word:
        word = self.spelled[index]
        mentions = tuple(_mentions(word, self._keywords))
        found = self[index] = _word(word, self._by_word, self._by_start, mentions)
        return found


class _Followers(dict[int, frozenset[str] | None]):
    """The signs behind each of ``words`` that leave a hit something to say."""

    def __init__(self, words: Words) -> None:
        super().__init__()
        self._words = words

    def __missing__(self, index: int) -> frozenset[str] | None:
        found = self[index] = self._words[index].followers()
        return found


def _word(
    word: str,
    by_word: Mapping[str, Sequence[Ask]],
    by_start: Mapping[str, Sequence[str]],
    mentions: tuple[tuple[int, int], ...],
) -> Word:
    inside = [(0, word), *_others(word, by_word, by_start)]
    followers = BLANKS.union(
        other[len(word) - offset] for offset, other in inside if offset + len(other) > len(word)
    )
    return Word(
        length=len(word),
        followed_by={
            follower: tuple(_candidates(word, follower, inside, by_word)) for follower in followers
        },
        otherwise=tuple(_candidates(word, _ANY_OTHER, inside, by_word)),
        mentions=mentions,
        opens_banner=word in _BANNER_WORDS,
    )


def _candidates(
    word: str,
    follower: str,
    inside: Sequence[tuple[int, str]],
    by_word: Mapping[str, Sequence[Ask]],
) -> Iterator[Candidate]:
    """The words at a hit of ``word`` that ``follower`` stands behind, with rules for them."""
    text = word + follower
    for offset, other in inside:
        here = text[offset : offset + len(other)]
        if not other.startswith(here):
            continue
        possible = [
            ask for ask in by_word.get(other, ()) if _is_possible(ask.rule, text, offset, other)
        ]
        if possible:
            reaches_further = offset + len(other) > len(word)
            yield Candidate(offset, other, reaches_further, _by_place(possible))


def _others(
    word: str, by_word: Mapping[str, object], by_start: Mapping[str, Sequence[str]]
) -> Iterator[tuple[int, str]]:
    for offset in range(len(word)):
        rest = word[offset:]
        reaching_further = by_start.get(rest, ()) if offset else ()
        within = [rest[:end] for end in range(len(rest), 0, -1) if rest[:end] in by_word]
        for other in (*reaching_further, *within):
            if other != word:
                yield offset, other


def _is_possible(rule: RedactionRule, text: str, offset: int, other: str) -> bool:
    """Whether the signs of ``text`` around ``other`` leave ``rule`` a chance."""
    if rule.left is Left.WORD and offset and text[offset - 1] in IN_NAME:
        return False
    if rule.then is not None or rule.value is ValueKind.SHAPE:
        return True
    end = offset + len(other)
    return end >= len(text) or text[end] in BLANKS


def _by_place(asks: Sequence[Ask]) -> _ByPlace:
    in_name = [ask for ask in asks if ask.rule.left is not Left.WORD]
    return (_by_case(in_name), _by_case(asks))


def _by_case(asks: Sequence[Ask]) -> tuple[Asks, Asks]:
    return (Asks([ask for ask in asks if ask.rule.any_case]), Asks(asks))


def _mentions(word: str, keywords: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Where keywords stand in ``word``; the longest one at each place."""
    end = 0
    for offset in range(len(word)):
        here = [keyword for keyword in keywords if word.startswith(keyword, offset)]
        if here and offset >= end:
            end = offset + max(map(len, here))
            yield offset, end
