"""Which sections of a configuration a line stands in."""

from __future__ import annotations

import re
from collections.abc import Sequence

#: Headers further out than this are not looked at, nor more of one than its first characters,
#: so that a hostile text cannot make the context of its lines grow with its size.
DEPTH = 12
HEADER_LENGTH = 160


class Sections:
    """The headers around each line, told by indentation.

    Indentation tells it for command lines in the manner of IOS, for braces and for XML as devices
    print them. Lines without any belong to the last line that begins with a slash (RouterOS).
    """

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = lines
        self._parents: list[int] | None = None
        self._members: dict[int, list[int]] | None = None
        self._headers: dict[int, str] = {-1: ""}
        self._held: dict[tuple[int, int], bool] = {}

    def hold(self, number: int, pattern: re.Pattern[str]) -> bool:
        """Whether ``pattern`` is found in the headers of the sections around line ``number``."""
        parent = self._all_parents()[number]
        key = (parent, id(pattern))
        if key not in self._held:
            self._held[key] = pattern.search(self.headers(number)) is not None
        return self._held[key]

    def headers(self, number: int) -> str:
        """The lines that open the sections around line ``number``, innermost first."""
        parents = self._all_parents()
        parent = parents[number]
        if parent not in self._headers:
            self._headers[parent] = self._joined(parents, parent)
        return self._headers[parent]

    def members(self, number: int) -> Sequence[int]:
        """The lines of the section that line ``number`` opens, without those of inner ones."""
        if self._members is None:
            self._members = {}
            for member, parent in enumerate(self._all_parents()):
                self._members.setdefault(parent, []).append(member)
        return self._members.get(number, ())

    def _all_parents(self) -> list[int]:
        if self._parents is None:
            self._parents = _parents(self._lines)
        return self._parents

    def _joined(self, parents: list[int], number: int) -> str:
        found: list[str] = []
        while number >= 0 and len(found) < DEPTH:
            found.append(self._lines[number][:HEADER_LENGTH].strip())
            number = parents[number]
        return "\n".join(found)


def _parents(lines: Sequence[str]) -> list[int]:
    """Number of the line that opens the section of each line, -1 for none."""
    parents: list[int] = []
    open_lines: list[tuple[int, int]] = []
    path = -1
    for number, line in enumerate(lines):
        body = line.lstrip()
        if not body or body[0] in "!#":
            parents.append(open_lines[-1][1] if open_lines else path)
            continue
        indent = len(line) - len(body)
        while open_lines and open_lines[-1][0] >= indent:
            open_lines.pop()
        if indent == 0 and body[0] == "/":
            path = number
        parents.append(open_lines[-1][1] if open_lines else path if path != number else -1)
        open_lines.append((indent, number))
    return parents
