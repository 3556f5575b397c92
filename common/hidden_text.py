"""Characters that let a text look different from what it says."""

from __future__ import annotations

import re
from typing import Final

#: They hide or reorder others: Unicode categories Cf, Zl and Zp, fillers, variation selectors.
HIDDEN: Final = re.compile(
    "[\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5"
    "\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0"
    "\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001345f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


def revealed(text: str) -> str:
    """``text`` with escape sequences in place of what hides or reorders: ``\\u202e``."""
    return HIDDEN.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    return match.group().encode("ascii", "backslashreplace").decode("ascii")
