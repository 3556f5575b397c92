"""How one credential fares in one run."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from credentials.models import Credential
from jobs.models.runs import JobRun


class RunCredential(models.Model):
    """What the lockout guard of a run knows about one credential."""

    run = models.ForeignKey(JobRun, on_delete=models.CASCADE, related_name="credentials")
    credential = models.ForeignKey(Credential, on_delete=models.CASCADE, related_name="+")
    #: Different devices that refused it since the last one that took it.
    refusals = models.PositiveSmallIntegerField(default=0)
    #: When the first of these did.
    refusing_since = models.DateTimeField(null=True, blank=True)
    #: Sessions that ended before the device said yes or no, while the credential was on probation.
    unanswered = models.PositiveIntegerField(default=0)
    #: When a device of this run first took it; None while none did.
    proven_at = models.DateTimeField(null=True, blank=True)
    #: When one last took it; written once a second at the most, see ``jobs.policy.lockout``.
    accepted_at = models.DateTimeField(null=True, blank=True)
    #: From when on the run does not use it any more; None while it does.
    set_aside_at = models.DateTimeField(null=True, blank=True)
    #: Why it was set aside, one line.
    reason = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["run", "credential"]
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["run", "credential"], name="run_credential_once"),
            models.CheckConstraint(
                condition=Q(set_aside_at=None, reason="") | Q(set_aside_at__isnull=False),
                name="run_credential_reason_when_set_aside",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.credential} in run {self.run_id}"
