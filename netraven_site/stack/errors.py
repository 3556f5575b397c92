"""What goes wrong with the embedded stack, in one line of plain words."""

from __future__ import annotations


class StackError(Exception):
    """The stack cannot start or run on. The message says why and what to do."""
