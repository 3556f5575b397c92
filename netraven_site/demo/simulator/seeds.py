"""Repeatable randomness: the same names give the same values on every machine."""

from __future__ import annotations

import random


def seeded(*names: str | int) -> random.Random:
    """A generator that depends on nothing but `names`."""
    key = "/".join(str(name) for name in names)
    return random.Random(key)  # noqa: S311 - made-up values have to be repeatable, not secret
