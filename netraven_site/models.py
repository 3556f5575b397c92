"""What belongs to no part of the product but to the site: tokens of its users."""

from __future__ import annotations

from django.db import models
from knox.models import AbstractAuthToken


class ApiToken(AbstractAuthToken):
    """A long-lived token of a program that acts as its user; only a hash of it is stored."""

    name = models.CharField(max_length=100, help_text="Which program has it.")

    class Meta:
        ordering = ["-created"]
        default_permissions = ("view", "delete")

    def __str__(self) -> str:
        # Not what the base class shows, which is the hash.
        return f"{self.name} ({self.token_key[:8]}…) of {self.user}"


class AuditSeal(models.Model):
    """Makes it noticed when an entry of the audit log is changed or deleted, see ``audit_seals``.

    A trigger makes one with each entry, in the same transaction. It is no foreign key, so that it
    outlives its entry.
    """

    entry_id = models.BigIntegerField(primary_key=True)
    #: Place in the chain, from 1; None until it is sealed.
    sequence = models.BigIntegerField(null=True, unique=True)
    digest = models.BinaryField(null=True)

    class Meta:
        default_permissions = ()
        constraints = [
            models.CheckConstraint(
                condition=models.Q(sequence=None, digest=None)
                | models.Q(sequence__gte=1, digest__isnull=False),
                name="auditseal_whole_or_waiting",
            ),
        ]
        indexes = [
            models.Index(
                fields=["entry_id"],
                name="auditseal_waiting",
                condition=models.Q(sequence=None),
            ),
        ]

    def __str__(self) -> str:
        return f"seal of entry {self.entry_id}"
