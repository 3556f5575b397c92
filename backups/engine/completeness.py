"""Whether an output may be trusted to be the whole configuration."""

from __future__ import annotations

import re

from inventory.platforms.definition import PlatformDefinition

#: Lines at the head of an output in which a CLI error counts, because nothing came before it.
HEAD_LINES = 5
#: Lines up to which an output that holds a CLI error is taken for nothing but that error.
SHORT_LINES = 12
#: Lines at the end of an output among which the end marker has to stand.
TAIL_LINES = 10
#: An error line that is quoted may be this long, so that a hostile device cannot fill a message.
QUOTED_LENGTH = 120

_PAGER = re.compile(
    r"^[ \t]*(?:-+ ?\(?more\b[^\n]{0,40}\)? ?-*|<-+ ?more ?-+>"
    r"|press any key to continue[^\n]{0,40}|lines \d+-\d+(?:/\d+)?(?: \(END\))?)[ \t]*$",
    re.IGNORECASE | re.MULTILINE,
)
# A marker that was not erased stands in front of the line that followed it.
_PAGER_GLUED = re.compile(
    r"^[ \t]*-{2,} ?\(?more(?: \d{1,3}%)?\)? ?-{2,}", re.IGNORECASE | re.MULTILINE
)


def check(
    definition: PlatformDefinition,
    text: str,
    *,
    previous_size: int | None,
    minimum_share: float = 0.5,
) -> list[str]:
    """Reasons why ``text`` is not to be trusted; an empty list says that it is.

    ``text`` is the output of ``clean_text`` or ``normalise``; ``previous_size`` is the length in
    characters of the last output that was trusted, or None. The reasons are plain sentences and
    quote nothing but an error line of the command line interface.
    """
    if not text.strip():
        return ["The device printed nothing."]
    rejected = rejection(definition, text)
    if rejected is not None:
        return [f"The device printed an error in place of its configuration: {rejected}"]
    reasons = [
        _error_at_head(definition, text),
        _missing_end(definition, text),
        _pager_left(text),
        _too_small(len(text), previous_size, minimum_share),
    ]
    return [reason for reason in reasons if reason]


def rejection(definition: PlatformDefinition, text: str) -> str | None:
    """The error line that the device printed if the whole output is no more than an error.

    None means that the output is something else, however bad. The line is shortened to
    ``QUOTED_LENGTH`` characters.
    """
    lines = [line for line in text.split("\n", SHORT_LINES + 1) if line.strip()]
    if len(lines) > SHORT_LINES or _has_end(definition, text):
        return None
    return _first_error(definition, lines)


def _error_at_head(definition: PlatformDefinition, text: str) -> str | None:
    lines = [line for line in text.split("\n", 4 * HEAD_LINES)[: 4 * HEAD_LINES] if line.strip()]
    error = _first_error(definition, lines[:HEAD_LINES])
    return f"The output begins with an error of the device: {error}" if error else None


def _first_error(definition: PlatformDefinition, lines: list[str]) -> str | None:
    for line in lines:
        head = line[:1000]
        if any(pattern.match(head) for pattern in definition.error_patterns):
            return line.strip()[:QUOTED_LENGTH]
    return None


def _missing_end(definition: PlatformDefinition, text: str) -> str | None:
    if not definition.end_markers or _has_end(definition, text):
        return None
    return "The end of the configuration is missing; the output was cut off."


def _has_end(definition: PlatformDefinition, text: str) -> bool:
    tail = [line for line in text.rstrip().rsplit("\n", 4 * TAIL_LINES)[1:] if line.strip()]
    tail = tail[-TAIL_LINES:]
    return any(pattern.match(line[:1000]) for line in tail for pattern in definition.end_markers)


def _pager_left(text: str) -> str | None:
    if _PAGER.search(text) or _PAGER_GLUED.search(text):
        return "The output holds marks of a pager; paging was not switched off."
    return None


def _too_small(size: int, previous_size: int | None, minimum_share: float) -> str | None:
    if not previous_size or size >= previous_size * minimum_share:
        return None
    share = round(100 * size / previous_size)
    return (
        f"The output has {share} % of the size of the last good one "
        f"({size} of {previous_size} characters)."
    )
