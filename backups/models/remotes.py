"""Git remotes that the history is pushed to."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import models

from backups.engine.git.remote import parse_remote
from credentials.models import Credential, validate_name, validate_shown
from inventory.models import HostKeyOwner, Zone


class RemoteState(models.TextChoices):
    """How the last push to a remote went."""

    NEVER = "NEVER", "Not pushed to yet"
    OK = "OK", "Up to date at the last push"
    FAILED = "FAILED", "The last push failed and is tried again"
    #: Somebody else pushed there; NetRaven never forces.
    DIVERGED = "DIVERGED", "The remote has commits that are not ours"


def validate_remote_url(value: str) -> None:
    """Raise ValidationError for an address that nothing can be pushed to."""
    try:
        parse_remote(value)
    except ValueError as error:
        raise ValidationError(f"This is no address of a Git remote: {error}.") from error


class GitRemote(HostKeyOwner):
    """A Git repository elsewhere that gets the redacted history, of all devices or of a zone.

    The host key is that of an SSH remote; the first one is kept.
    """

    name = models.CharField(max_length=100, unique=True, validators=[validate_name, validate_shown])
    #: ``https://`` or ``ssh://`` or ``user@host:path``; never with a password in it.
    url = models.CharField("URL", max_length=500, validators=[validate_remote_url])
    zone = models.ForeignKey(
        Zone,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="git_remotes",
        help_text="Only the devices of this zone; empty for all devices.",
    )
    credential = models.ForeignKey(
        Credential,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="git_remotes",
        help_text="User name with password or token (HTTPS) or with an SSH key.",
    )
    is_enabled = models.BooleanField(default=True)
    state = models.CharField(
        max_length=8, choices=RemoteState.choices, default=RemoteState.NEVER, editable=False
    )
    #: What git said, in one line; empty after a success.
    error = models.CharField(max_length=500, blank=True, editable=False)
    #: Commit of the pushed branch at the last success.
    pushed_commit = models.CharField(max_length=64, blank=True, editable=False)
    #: The last successful push contained every snapshot up to this one; 0 before the first.
    pushed_snapshot_id = models.PositiveBigIntegerField(default=0, editable=False)
    pushed_at = models.DateTimeField(null=True, blank=True, editable=False)
    attempted_at = models.DateTimeField(null=True, blank=True, editable=False)
    #: Failed attempts in a row, and when the next one is due (or, while one is under way, when it
    #: is asked for again); None when none is.
    failures = models.PositiveIntegerField(default=0, editable=False)
    next_attempt_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(state__in=RemoteState.values), name="git_remote_state_known"
            )
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Raise ValidationError for a credential that cannot open the kind of address."""
        if self.credential is None:
            return
        try:
            is_ssh = parse_remote(self.url).scheme == "ssh"
        except ValueError:
            return  # the field's own validator says so
        if is_ssh and not self.credential.has_ssh_key:
            raise ValidationError(
                {"credential": "It has no SSH key, and a password is not sent over SSH."}
            )
        if not is_ssh and not self.credential.has_password:
            raise ValidationError({"credential": "It has no password or token for HTTPS."})
