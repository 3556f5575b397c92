"""Loads the site without Python's search for garbage, which would take an eighth of a start.

Loading makes a million objects that stay, and the collector goes through all of them again whenever
a quarter has been added.
"""

from __future__ import annotations

import gc

_USUAL = gc.get_threshold()
#: Should loading never end, garbage is still found, only later.
_RARE = (100_000, 20, 20)


def begin() -> None:
    """Search rarely from here on."""
    gc.set_threshold(*_RARE)


def end() -> None:
    """Search as usual again, and never among what is there by now."""
    gc.freeze()
    gc.set_threshold(*_USUAL)
