"""Tags and credentials.

The tag lives here, in the lowest app, because it is what a credential reaches devices through:
devices and jobs carry the same tags (docs/adr/0004).
"""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone

from common.hidden_text import HIDDEN, revealed

#: Names of tags, zones and the like: no control characters, no leading or trailing blank, no ``;``
#: (which separates tags in CSV files and on the command line).
validate_name = RegexValidator(
    r"\A[^\s;\x00-\x1f\x7f](?:[^;\x00-\x1f\x7f]*[^\s;\x00-\x1f\x7f])?\Z",
    "A name has no semicolon, no control character and no blank at its ends.",
)


def validate_shown(value: str) -> None:
    """Refuse a name in which something hides or changes the order of what is read."""
    found = HIDDEN.search(value)
    if found is not None:
        raise ValidationError(
            f"A name has no characters that hide or reorder others; '{revealed(found.group())}' "
            "is one."
        )


#: What would end the line at the device's prompt is no part of a user name.
validate_username = RegexValidator(
    r"\A[^\x00-\x1f\x7f]+\Z", "A user name has no line break and no other control character."
)

MAX_TAG_LENGTH = 64
MAX_FRESHNESS_HOURS = 8760


class Tag(models.Model):
    """A label on devices, jobs and credentials. Upper and lower case are the same name."""

    name = models.CharField(max_length=MAX_TAG_LENGTH, validators=[validate_name, validate_shown])
    description = models.CharField(max_length=200, blank=True)
    max_sessions = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Sessions at once with devices of this tag; empty for no limit.",
    )
    freshness_hours = models.PositiveIntegerField(
        "freshness objective",
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_FRESHNESS_HOURS)],
        help_text="Hours that the last backup of a device may be old; the strictest tag of a "
        "device counts. Empty: the tag asks for nothing.",
    )

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                Lower("name"),
                name="tag_name_unique",
                violation_error_message="There is already a tag with this name.",
            ),
            models.CheckConstraint(
                condition=models.Q(freshness_hours=None)
                | models.Q(freshness_hours__gte=1, freshness_hours__lte=MAX_FRESHNESS_HOURS),
                name="tag_freshness_hours_in_range",
            ),
        ]

    def __str__(self) -> str:
        return self.name


#: What is told of a tag that ``keep_tags_of`` holds back.
TAG_IS_KEPT = "A notification rule or retention policy names this tag; take it out there first."


def keep_tags_of(through: type[models.Model]) -> None:
    """Have no tag deleted that a row of ``through``, the relation of some model to tags, names.

    For rows that would mean something else without the tag. Whoever deletes one gets Django's
    ProtectedError, at every door.
    """
    to_tag: Any = through._meta.get_field("tag")
    to_tag.remote_field.on_delete = models.PROTECT


class Provider(models.TextChoices):
    """Where the secrets of a credential are; all but the first are in ``credentials.providers``."""

    STORED = "stored", "NetRaven, encrypted"
    ENVIRONMENT = "environment", "Environment of the worker"
    FILE = "file", "Files of the worker"
    VAULT = "vault", "HashiCorp Vault"


class Credential(models.Model):
    """A user name with a password, an enable secret and/or an SSH key.

    Applies to every device that shares a tag with it, the lowest priority number first. The secret
    columns hold what ``credentials.cipher`` sealed; ``credentials.services`` writes and opens them.
    They are empty where another provider has the secrets: then there is a reference only.
    """

    MIN_PRIORITY = 1
    MAX_PRIORITY = 1000

    name = models.CharField(max_length=100, validators=[validate_name, validate_shown])
    username = models.CharField(max_length=128, validators=[validate_username])
    priority = models.PositiveSmallIntegerField(
        default=100,
        validators=[MinValueValidator(MIN_PRIORITY), MaxValueValidator(MAX_PRIORITY)],
        help_text="1 is tried before 1000; equal priorities go by name.",
    )
    is_active = models.BooleanField(default=True)
    tags = models.ManyToManyField(Tag, blank=True, related_name="credentials")
    description = models.CharField(max_length=200, blank=True)
    max_sessions = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Sessions at once that log in with it; empty for no limit.",
    )

    provider = models.CharField(
        "secrets come from", max_length=16, choices=Provider.choices, default=Provider.STORED
    )
    reference = models.CharField(
        max_length=255,
        blank=True,
        help_text="Where the provider has the secrets; empty for those that NetRaven stores.",
    )

    #: Binds the sealed values to this row: copied elsewhere they cannot be opened.
    seal_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    sealed_password = models.BinaryField(null=True, editable=False)
    sealed_enable_secret = models.BinaryField(null=True, editable=False)
    sealed_ssh_key = models.BinaryField(null=True, editable=False)
    sealed_ssh_key_passphrase = models.BinaryField(null=True, editable=False)

    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["priority", "name"]
        constraints = [
            models.UniqueConstraint(
                Lower("name"),
                name="credential_name_unique",
                violation_error_message="There is already a credential with this name.",
            ),
            models.CheckConstraint(
                condition=models.Q(priority__gte=1, priority__lte=1000),
                name="credential_priority_1_to_1000",
            ),
            models.CheckConstraint(
                condition=~models.Q(username=""), name="credential_username_not_empty"
            ),
            # Nothing is left behind that could be taken for the secret of a provider that fails.
            models.CheckConstraint(
                condition=models.Q(provider="stored", reference="")
                | (
                    ~models.Q(provider="stored")
                    & ~models.Q(reference="")
                    & models.Q(
                        sealed_password=None,
                        sealed_enable_secret=None,
                        sealed_ssh_key=None,
                        sealed_ssh_key_passphrase=None,
                    )
                ),
                name="credential_secrets_in_one_place",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def has_password(self) -> bool:
        return self.sealed_password is not None

    @property
    def has_enable_secret(self) -> bool:
        return self.sealed_enable_secret is not None

    @property
    def has_ssh_key(self) -> bool:
        return self.sealed_ssh_key is not None

    @property
    def has_passphrase(self) -> bool:
        return self.sealed_ssh_key_passphrase is not None


class TagLimit(models.Model):
    """Limits a user to the devices that carry one of its tags; without tags, to none at all.

    Users without such a row see every device. Deleting a tag takes it out of the limit and never
    lifts the limit.
    """

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="tag_limit"
    )
    tags = models.ManyToManyField(Tag, blank=True, related_name="+")

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"limit of {self.user}"


class InstallationKey(models.Model):
    """By what a key that is no encryption key is known again; the key itself is not kept."""

    name = models.CharField(max_length=32, unique=True)
    #: See ``credentials.cipher.key_fingerprint``.
    fingerprint = models.CharField(max_length=32)
    #: Since when this key counts.
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.name
