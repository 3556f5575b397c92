"""The last regular check of the audit log."""

from __future__ import annotations

from jobs.models import AuditCheck


def audit_check_last() -> AuditCheck | None:
    """What it found; None when none was made yet."""
    return AuditCheck.objects.filter(pk=AuditCheck.ROW).first()
