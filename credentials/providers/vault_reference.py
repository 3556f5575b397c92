"""What a path of a secret in Vault looks like."""

from __future__ import annotations

import re

_REFERENCE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*")
_MAX_LENGTH = 255


def reference_problem(reference: str) -> str | None:
    """Why ``reference`` cannot be a path in Vault, one line; None if it can."""
    if len(reference) <= _MAX_LENGTH and _REFERENCE.fullmatch(reference):
        return None
    return "it is a path such as network/site-b: letters, digits, dots, hyphens and underscores"
