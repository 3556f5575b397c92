"""What is derived from the stored revisions, so that questions over all devices are quick.

Every row can be made anew from the snapshots (``backups.services.projections``).
"""

from __future__ import annotations

from django.db import models

from backups.models.snapshots import Snapshot
from inventory.models import Device


class CurrentText(models.Model):
    """The newest redacted text of a device, compressed, for searching over all devices."""

    device = models.OneToOneField(
        Device, on_delete=models.CASCADE, primary_key=True, related_name="current_text"
    )
    snapshot = models.OneToOneField(Snapshot, on_delete=models.CASCADE, related_name="+")
    #: The text in UTF-8 as one Zstandard frame.
    packed = models.BinaryField(editable=False)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.device)


class SecretUse(models.Model):
    """A place in the current configuration of a device where a secret stands, by its token.

    Tells what the token alone tells: which devices share a secret, and when it changed last.
    """

    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="secret_uses")
    #: The line without its tokens: how the place is recognised in the next revision.
    place = models.CharField(max_length=300)
    #: SHA-256 in hex over the whole line without its tokens and the headings above it.
    place_digest = models.CharField(max_length=64)
    #: Number of the same place within the text, from 0.
    occurrence = models.PositiveIntegerField()
    line_number = models.PositiveIntegerField()
    #: Eight hex digits as in ``<redacted:xxxxxxxx>``; empty for a secret that is salted anew at
    #: every read, which nothing can be told about.
    token = models.CharField(max_length=8, blank=True)
    first_seen_at = models.DateTimeField()
    changed_at = models.DateTimeField()

    class Meta:
        default_permissions = ("view",)
        ordering = ["device", "line_number", "occurrence"]
        indexes = [models.Index(fields=["token", "device"], name="secret_use_token")]
        constraints = [
            models.UniqueConstraint(
                fields=["device", "place_digest", "occurrence"], name="secret_use_place_unique"
            )
        ]

    def __str__(self) -> str:
        return f"{self.device.hostname}: {self.place}"
