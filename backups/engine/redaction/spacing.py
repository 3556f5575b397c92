"""Runs of blanks inside lines, and how the lines read with one blank in place of each.

The words of a rule have one blank between them. Some devices align what they print, and people
paste commands out of tables.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from backups.engine.redaction.disguises import Reading

_FURTHER_BLANKS = re.compile(r"(?<=\S[ \t])[ \t]+(?=\S)")


def single_spaced(lines: Sequence[str], text: str) -> Reading | None:
    """How ``lines`` read with single blanks between words, or None if they have no others.

    ``text`` is the joined lines. Blanks at the begin and the end of a line stay.
    """
    numbers = [number for number, line in enumerate(lines) if _is_spaced(line)]
    if "\t" in text:
        tabbed = (number for number, line in enumerate(lines) if "\t" in line.strip())
        numbers = sorted({*numbers, *tabbed})
    if not numbers:
        return None
    read = [*lines]
    for number in numbers:
        read[number] = _single_spaced(lines[number])
    return Reading(read, "\n".join(read), frozenset(numbers), _FURTHER_BLANKS)


def _is_spaced(line: str) -> bool:
    # Most lines hold one run of blanks at most, in front.
    return "  " in line and "  " in line.strip()


def _single_spaced(line: str) -> str:
    indent = len(line) - len(line.lstrip())
    return line[:indent] + _FURTHER_BLANKS.sub("", line[indent:]).replace("\t", " ")
