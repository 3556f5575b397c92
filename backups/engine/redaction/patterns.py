"""What can be told of regular expressions from how they are written, to ask many at once."""

from __future__ import annotations

import re
from collections.abc import Sequence

LINE_BEGIN = "^"

_SIGN_OR_SET = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_INMOST_GROUP = re.compile(r"\([^()]*\)")
_GLOBAL_FLAGS = re.compile(r"\(\?[aiLmsux]+\)")


def begins_with(source: str, begin: str) -> bool:
    """Whether all that the pattern ``source`` matches has to stand behind ``begin``.

    ``begin`` is a place, such as the one that ``^`` stands for.
    """
    if not source.startswith(begin):
        return False
    outside = _SIGN_OR_SET.sub("", source)
    while outside != (shorter := _INMOST_GROUP.sub("", outside)):
        outside = shorter
    return "|" not in outside


def any_of(patterns: Sequence[re.Pattern[str]]) -> re.Pattern[str] | None:
    """One pattern that matches where one of ``patterns`` does, or None if there is none.

    Patterns that cannot be joined with others leave nothing to say, which is None as well.
    """
    sources = list(dict.fromkeys(pattern.pattern for pattern in patterns))
    flags = {pattern.flags for pattern in patterns}
    alone = any(pattern.groups or _GLOBAL_FLAGS.search(pattern.pattern) for pattern in patterns)
    if len(flags) != 1 or alone:
        return None
    return re.compile("|".join(f"(?:{source})" for source in sources), flags.pop())
