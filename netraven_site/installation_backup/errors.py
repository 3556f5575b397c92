"""What can go wrong with a backup of the installation."""

from __future__ import annotations


class BackupError(Exception):
    """The backup cannot be made or restored; the message is one line and says what to do."""
