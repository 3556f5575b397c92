"""The Celery task that has the audit log checked."""

from __future__ import annotations

from celery import shared_task

from jobs.services.sessions import database_use
from netraven_site.audit_check import audit_check


@shared_task(name="netraven.verify_audit", ignore_result=True)
def verify_audit() -> None:
    """Check the audit log; the scheduler asks for it every night."""
    with database_use():
        audit_check()
