"""Redaction: what may leave the engine, and the only place that says so."""

from __future__ import annotations

from backups.engine.redaction.redactor import Redactor
from backups.engine.redaction.stored import redacted_from_store
from backups.engine.redaction.tokens import CONSTANT_TOKEN, REDACTED_LINE, TOKEN

__all__ = ["CONSTANT_TOKEN", "REDACTED_LINE", "TOKEN", "Redactor", "redacted_from_store"]
