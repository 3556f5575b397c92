"""Why two texts are not compared."""

from __future__ import annotations


class NoSemanticDiff(Exception):
    """These configurations cannot be compared so; the message says why and what to do."""
