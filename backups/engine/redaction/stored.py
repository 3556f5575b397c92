"""The way back from a stored redacted text to the redacted type."""

from __future__ import annotations

from backups.engine.types import RedactedConfig


def redacted_from_store(text: str) -> RedactedConfig:
    """``text`` as a redacted configuration: only for what ``Redactor`` made and a row kept.

    A snapshot waits in the database until Git can be written; its text was redacted before it
    was stored and is not redacted again.
    """
    return RedactedConfig(text=text, replaced={})
