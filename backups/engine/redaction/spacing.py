"""What stands around and between the words of commands, and how the lines read without it.

The words of a rule have one blank between them. Some devices align what they print, and people
paste commands out of tables. EOS prints its configuration in JSON, too: each command is the name of
a value then, inside "cmds".
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from backups.engine.redaction.disguises import Reading

#: Two blanks or a tab between words.
_UNUSUAL_BLANKS = re.compile(r"(?<=\S)(?:[ \t]{2,}|\t)(?=\S)")
_FURTHER_BLANKS = re.compile(r"(?<=\S[ \t])[ \t]+(?=\S)")

_ESCAPED = '\\"'
_COMMANDS = '"cmds"'
_COMMAND_AS_NAME = re.compile(
    r'^([ \t]*)"((?:[^"\\\n]|\\.)*)"([ \t]*:[ \t]*(?:null|\{)[ \t]*,?)(?=[ \t\r]*$)', re.MULTILINE
)


def without_names(lines: list[str], text: str) -> tuple[list[str], str]:
    """``lines`` and ``text`` with blanks in place of the JSON around commands, if there is any."""
    if _COMMANDS not in text:
        return lines, text
    text = _COMMAND_AS_NAME.sub(_blanked, text)
    return text.split("\n"), text


def _blanked(name: re.Match[str]) -> str:
    indent, command, behind = name.groups()
    first, *others = command.split(_ESCAPED)
    # A quote stands next to what it encloses.
    quoted = ('" ' if number % 2 else ' "' for number in range(len(others)))
    plain = first + "".join(map(str.__add__, quoted, others))
    return f"{indent} {plain} {' ' * len(behind)}"


def single_spaced(lines: Sequence[str]) -> Reading | None:
    """How ``lines`` read with single blanks between words, or None if they have no others.

    Blanks at the begin and the end of a line stay.
    """
    bodies = [*map(str.lstrip, lines)]
    # Most texts have none; to see that in one piece is quicker than line by line.
    joined = "\n".join(bodies)
    if "  " not in joined and "\t" not in joined:
        return None
    numbers = frozenset(
        number
        for number, body in enumerate(bodies)
        if ("  " in body or "\t" in body) and _UNUSUAL_BLANKS.search(lines[number])
    )
    if not numbers:
        return None
    read = [*lines]
    for number in numbers:
        read[number] = _single_spaced(lines[number])
    return Reading(read, "\n".join(read), numbers, _FURTHER_BLANKS)


def _single_spaced(line: str) -> str:
    indent = len(line) - len(line.lstrip())
    return line[:indent] + _FURTHER_BLANKS.sub("", line[indent:]).replace("\t", " ")
