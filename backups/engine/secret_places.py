"""Where secrets stand in a redacted configuration, and when each one changed.

A place is a line without its tokens under its headings, so that it is found again in the next
revision wherever it stands there.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain

from backups.engine.redaction.sections import Sections
from backups.engine.redaction.tokens import CONSTANT_TOKEN, TOKEN

#: Places of one text beyond this number are not looked at; no device has as many.
MOST_PLACES = 5000
#: A place is shown with so many characters; its digest is over all of them.
LONGEST_PLACE = 300
#: Stands where a token stood.
BLANK = "<redacted>"

_MARK = "<redacted:"
_TOKEN_DIGITS = slice(len(_MARK), -1)
# The lines of a key in one string have a token each, and a key that is longer has more of them.
_REPEATED = re.compile(rf"{BLANK}(?:(?:\\[nrt]|[ \t])*{BLANK})+")
#: A line with nothing but tokens, as within the block of a private key.
_BARE = re.compile(rf"[\s\"';]*(?:{BLANK}[\s\"';]*)+")

#: Digest and occurrence: what tells a place from the others of its device.
PlaceKey = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretPlace:
    """A place in one text, and the token that stands there."""

    #: The line without its tokens; of a key block the line before it.
    place: str
    #: SHA-256 in hex over the whole of that and the headings.
    place_digest: str
    #: Number of the same place within the text, from 0.
    occurrence: int
    #: From 1.
    line_number: int
    #: Eight hex digits; empty for the constant token.
    token: str

    @property
    def key(self) -> PlaceKey:
        return self.place_digest, self.occurrence


@dataclass(frozen=True, slots=True, kw_only=True)
class DatedPlace:
    """A place with the times at which it was first seen, and its token changed last."""

    place: SecretPlace
    first_seen_at: datetime
    changed_at: datetime


def secret_places(text: str) -> list[SecretPlace]:
    """The places of ``text``, a redacted configuration, in its order.

    The same token several times in one line, or in the same line repeated directly below, is one
    place: that is how the lines of a private key look.
    """
    if _MARK not in text:
        return []
    blanked_text = TOKEN.sub(BLANK, text)
    blanked = blanked_text.split("\n")
    sections = Sections(blanked, blanked_text)
    occurrences: Counter[str] = Counter()
    places: list[SecretPlace] = []
    for number, line, tokens in _lines_with_tokens(text.split("\n"), blanked):
        digest = hashlib.sha256(f"{line}\n{sections.around(number).headers}".encode()).hexdigest()
        for token in tokens:
            if len(places) == MOST_PLACES:
                return places
            places.append(
                SecretPlace(
                    place=line[:LONGEST_PLACE],
                    place_digest=digest,
                    occurrence=occurrences[digest],
                    line_number=number + 1,
                    token=token,
                )
            )
            occurrences[digest] += 1
    return places


def places_after(
    before: Mapping[PlaceKey, DatedPlace], places: Iterable[SecretPlace], collected_at: datetime
) -> dict[PlaceKey, DatedPlace]:
    """The dated places of a device after the revision with ``places``, collected at that time.

    ``before`` are those after the revision before. Among equal places a token keeps its times
    wherever it stands now; what is left over has changed, in order, or is new.
    """
    old: defaultdict[str, list[DatedPlace]] = defaultdict(list)
    for dated in sorted(before.values(), key=_occurrence):
        old[dated.place.place_digest].append(dated)
    new: defaultdict[str, list[SecretPlace]] = defaultdict(list)
    for place in places:
        new[place.place_digest].append(place)
    return {
        dated.place.key: dated
        for digest, same in new.items()
        for dated in _dated(old[digest], same, collected_at)
    }


def _dated(
    old: Sequence[DatedPlace], places: Sequence[SecretPlace], collected_at: datetime
) -> list[DatedPlace]:
    """``places`` that are all the same but for their tokens, with their times."""
    by_token: defaultdict[str, deque[DatedPlace]] = defaultdict(deque)
    for dated in old:
        by_token[dated.place.token].append(dated)
    kept = {
        place.occurrence: by_token[place.token].popleft()
        for place in places
        if by_token[place.token]
    }
    left = deque(sorted(chain.from_iterable(by_token.values()), key=_occurrence))
    found = []
    for place in places:
        same = kept.get(place.occurrence)
        replaced = left.popleft() if same is None and left else None
        known = same or replaced
        found.append(
            DatedPlace(
                place=place,
                first_seen_at=known.first_seen_at if known else collected_at,
                changed_at=same.changed_at if same else collected_at,
            )
        )
    return found


def _occurrence(dated: DatedPlace) -> int:
    return dated.place.occurrence


def _lines_with_tokens(
    lines: Sequence[str], blanked: Sequence[str]
) -> Iterator[tuple[int, str, list[str]]]:
    """Number from 0, how the place is shown, and tokens of each line that has any.

    Repeated lines are left out.
    """
    above, previous = "", (-1, "", [""])
    for number, line in enumerate(blanked):
        if BLANK not in line:
            above = line
            continue
        tokens = _tokens(lines[number])
        if _BARE.fullmatch(line):
            shown = f"{above.strip()} {BLANK}".strip()
        else:
            shown, above = _REPEATED.sub(BLANK, line).strip(), line
        if tokens and previous != (number - 1, shown, tokens):
            yield number, shown, tokens
        previous = (number, shown, tokens)


def _tokens(line: str) -> list[str]:
    """The tokens of a line, each once, in order; empty for the constant one."""
    found = dict.fromkeys(TOKEN.findall(line))
    return ["" if token == CONSTANT_TOKEN else token[_TOKEN_DIGITS] for token in found]
