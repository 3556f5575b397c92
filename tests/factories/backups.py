"""What a session brought home."""

from __future__ import annotations

import hashlib
from typing import Any

from backups.engine.pipeline import BackupOutcome
from backups.engine.types import RedactedConfig


def backup_outcome(
    text: str = "hostname core\nend\n",
    *,
    raw: bytes | None = None,
    suspicions: tuple[str, ...] = (),
    host_key: str | None = None,
    **findings: Any,
) -> BackupOutcome:
    """An outcome with ``text`` as redacted text and ``raw`` (the same by default) behind it.

    ``findings`` are further fields of the outcome.
    """
    raw = text.encode() if raw is None else raw
    return BackupOutcome(
        raw=raw,
        raw_digest=hashlib.sha256(raw).hexdigest(),
        config=None if suspicions else RedactedConfig(text=text, replaced={}),
        suspicions=suspicions,
        host_key=host_key,
        phase_seconds={"connect": 0.1},
        **findings,
    )
