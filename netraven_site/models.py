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
