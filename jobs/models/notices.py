"""What devices and other systems have told of changes."""

from __future__ import annotations

from django.db import models

from inventory.models import Device


class ChangeNotice(models.Model):
    """The configuration of a device was changed, and no run was made for that yet.

    One row per device: what is told meanwhile moves ``due_at``, within bounds, and adds nothing.
    """

    device = models.OneToOneField(Device, on_delete=models.CASCADE, related_name="change_notice")
    #: When the first message came.
    noticed_at = models.DateTimeField()
    #: When a run is made.
    due_at = models.DateTimeField(db_index=True)
    #: Who made the change, as the last message that names somebody has it; plain text, hostile.
    changed_by = models.CharField(max_length=100, blank=True)
    #: ``syslog``, or the name of the user whose token was used.
    told_by = models.CharField(max_length=200)

    class Meta:
        ordering = ["due_at"]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"change of {self.device}"


class SyslogCount(models.Model):
    """How many syslog messages came to one ``outcome``, in all listeners together. Only grows."""

    outcome = models.CharField(max_length=32, unique=True)
    count = models.PositiveBigIntegerField(default=0)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.outcome}: {self.count}"
