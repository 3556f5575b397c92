"""Which sections of a configuration a line stands in."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence

#: Headers further out than this are not looked at, nor more of one than its first characters,
#: so that a hostile text cannot make the context of its lines grow with its size.
DEPTH = 12
HEADER_LENGTH = 160

_COMMENT = "!#"
_HEADING = "["
_UNKNOWN = -2


class Around:
    """The headers of the sections around a line, innermost first, and what was asked about them."""

    __slots__ = ("_held", "headers")

    def __init__(self, headers: str) -> None:
        self.headers = headers
        self._held: dict[int, bool] = {}

    def hold(self, pattern: re.Pattern[str]) -> bool:
        """Whether ``pattern`` is found in the headers."""
        held = self._held.get(id(pattern))
        if held is None:
            held = self._held[id(pattern)] = pattern.search(self.headers) is not None
        return held


class Sections:
    """The headers around each line, told by indentation.

    Indentation tells it for command lines in the manner of IOS, for braces and for XML as devices
    print them. Lines without any belong to the last line that begins with a slash (RouterOS).
    Nothing is worked out before somebody asks: most lines of a configuration are never asked for.
    """

    def __init__(self, lines: Sequence[str], text: str) -> None:
        """``text`` is the joined ``lines``."""
        self._lines = lines
        self._text = text
        #: Number of the line that opens the section of each line, -1 for none.
        self._parents = [_UNKNOWN] * len(lines)
        #: Numbers of the lines that begin with a slash.
        self._paths: list[int] | None = None
        self._members: dict[int, list[int]] | None = None
        self._around = {-1: Around("")}

    def around(self, number: int) -> Around:
        """The headers of the sections around line ``number``."""
        parent = self._parents[number]
        if parent == _UNKNOWN:
            parent = self._find_parent(number)
        around = self._around.get(parent)
        if around is None:
            around = self._around[parent] = Around(self._joined(parent))
        return around

    def below(self, number: int, count: int) -> Sequence[str]:
        """Up to ``count`` lines that follow line ``number``."""
        return self._lines[number + 1 : number + 1 + count]

    def members(self, number: int) -> Sequence[int]:
        """The lines of the section that line ``number`` opens, without those of inner ones.

        Behind a heading in brackets (INI) they are all up to the next one.
        """
        if self._lines[number].startswith(_HEADING):
            return self._below_heading(number)
        if self._members is None:
            self._members = {}
            for member in range(len(self._lines)):
                self._members.setdefault(self._parent(member), []).append(member)
        return self._members.get(number, ())

    def _below_heading(self, number: int) -> range:
        end = number + 1
        while end < len(self._lines) and not self._lines[end].startswith(_HEADING):
            end += 1
        return range(number + 1, end)

    def _parent(self, number: int) -> int:
        parent = self._parents[number]
        return self._find_parent(number) if parent == _UNKNOWN else parent

    def _find_parent(self, number: int) -> int:
        """The next line above that is indented less; for comments, the next one above.

        What is known of the lines on the way is not looked at again, so that the time for all
        lines of a text, asked in their order, is in proportion to its length.
        """
        lines, parents = self._lines, self._parents
        limit = _indent(lines[number])
        if limit == 0:
            parents[number] = parent = self._path_above(number)
            return parent
        # What begins with the same blanks is not indented less; most lines on the way do.
        margin = lines[number][:limit] if limit > 0 else "\n"
        above = number - 1
        while above >= 0:
            if not lines[above].startswith(margin):
                indent = _indent(lines[above])
                if 0 <= indent < limit or (limit < 0 <= indent):
                    break
            known = parents[above]
            above = above - 1 if known == _UNKNOWN else known
        parents[number] = above
        return above

    def _path_above(self, number: int) -> int:
        """The last line above ``number`` that begins with a slash, for one that does not itself."""
        if self._paths is None:
            any_path = self._text.startswith("/") or "\n/" in self._text
            numbered = enumerate(self._lines) if any_path else ()
            self._paths = [number for number, line in numbered if line.startswith("/")]
        if not self._paths:
            return -1
        index = bisect_right(self._paths, number)
        if index == 0 or self._paths[index - 1] == number:
            return -1
        return self._paths[index - 1]

    def _joined(self, number: int) -> str:
        found: list[str] = []
        while number >= 0 and len(found) < DEPTH:
            found.append(self._lines[number][:HEADER_LENGTH].strip())
            parent = self._parents[number]
            number = self._find_parent(number) if parent == _UNKNOWN else parent
        return "\n".join(found)


def _indent(line: str) -> int:
    """How far ``line`` is indented, or -1 if it is empty or a comment."""
    body = line.lstrip()
    return -1 if not body or body[0] in _COMMENT else len(line) - len(body)
