"""The regular check of the audit log, whose verdict is kept for those who watch."""

from __future__ import annotations

import structlog

from jobs.selectors.audit_checks import audit_check_last
from jobs.services.audit_checks import audit_check_record
from netraven_site.audit_seals import audit_verify, configured_keys

logger = structlog.get_logger(__name__)


def audit_check() -> None:
    """Check the audit log as ``manage.py verify_audit`` does, and keep what was found.

    What was sealed when nothing was wrong is expected to be there still. Metrics, notifications and
    ``manage.py status`` tell of the verdict.
    """
    last = audit_check_last()
    findings = audit_verify(keys=configured_keys(), expected=(last and last.head) or None)
    problem = next(iter(findings.problems), "")
    audit_check_record(
        entries=findings.entries,
        sealed=findings.sealed,
        head=findings.head,
        problem_count=findings.problem_count,
        problem=problem,
    )
    if findings.problem_count:
        logger.error("audit_log.broken", problems=findings.problem_count, error=problem)
    else:
        logger.info("audit_log.verified", entries=findings.entries, head=findings.head)
