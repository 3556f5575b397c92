"""Why a schedule cannot be kept."""

from __future__ import annotations


class ScheduleError(ValueError):
    """A schedule cannot be kept. ``field`` names the setting at fault."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message
