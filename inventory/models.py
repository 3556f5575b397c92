"""What there is to back up: devices and the zones that workers reach them in."""

from __future__ import annotations

import ipaddress
import re

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models.functions import Lower

from credentials.models import Credential, Tag, validate_name, validate_shown
from inventory.host_keys import fingerprint
from inventory.platforms import UnknownPlatform, get_platform

#: RFC 1123 section 2.1 labels, with the underscore that many networks use in names.
_DNS_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
validate_hostname = RegexValidator(
    r"\A[^\s\x00-\x1f\x7f/\\<>\"'`$;|&]+\Z",
    "A hostname has no blanks, slashes, quotes or control characters.",
)
#: RFC 4007 section 11: the name of an interface or its number.
_SCOPE_ID = re.compile(r"[A-Za-z0-9_.-]{1,32}")
SSH_PORT = 22
TELNET_PORT = 23
#: Zone names become queue names.
validate_zone_name = RegexValidator(
    r"\A[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?\Z",
    "A zone name has 1 to 32 lower-case letters, digits or inner hyphens.",
)


def validate_address(value: str) -> None:
    """Accept an IPv4 or IPv6 address or a DNS name; raise ValidationError otherwise."""
    if not (_is_ip_address(value) or _is_dns_name(value)):
        raise ValidationError(
            "'%(value)s' is neither an IP address nor a DNS name.", params={"value": value}
        )


def _is_ip_address(value: str) -> bool:
    try:
        scope = getattr(ipaddress.ip_address(value), "scope_id", None)
    except ValueError:
        return False
    return scope is None or _SCOPE_ID.fullmatch(scope) is not None


def _is_dns_name(value: str) -> bool:
    labels = value.removesuffix(".").split(".")
    return not labels[-1].isdigit() and all(_DNS_LABEL.fullmatch(label) for label in labels)


def validate_platform(value: str) -> None:
    """Accept the name of a platform definition; raise ValidationError otherwise."""
    try:
        get_platform(value)
    except UnknownPlatform as error:
        raise ValidationError(str(error)) from error


class Transport(models.TextChoices):
    """How the command line of a device is reached; values as in ``backups.engine.types``."""

    SSH = "ssh", "SSH"
    TELNET = "telnet", "Telnet (unencrypted)"


class HostKeyMode(models.TextChoices):
    """What is done about host keys; values as in ``backups.engine.types``."""

    STRICT = "strict", "Only keys that were accepted before"
    TOFU = "tofu", "Trust on first use"
    OFF = "off", "Do not check"


class Zone(models.Model):
    """A set of devices that only certain workers can reach: one Celery queue each."""

    name = models.CharField(max_length=32, unique=True, validators=[validate_zone_name])
    description = models.CharField(max_length=200, blank=True)
    host_key_mode = models.CharField(
        "host keys", max_length=6, choices=HostKeyMode.choices, default=HostKeyMode.TOFU
    )
    max_sessions = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Sessions at once with devices of this zone; empty for no limit.",
    )
    default_credential = models.ForeignKey(
        Credential,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="default_of_zones",
        help_text="For devices of the zone, after their own credential and those of their tags.",
    )

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class HostKeyOwner(models.Model):
    """Something that shows an SSH host key; ``inventory.services`` accepts and forgets them."""

    host_key = models.TextField(
        blank=True,
        editable=False,
        help_text="SSH host key that is accepted; another one stops the connection.",
    )
    #: The key that was refused at the last session; empty unless one waits for a decision.
    offered_host_key = models.TextField(blank=True, editable=False)

    class Meta:
        abstract = True

    @property
    def host_key_fingerprint(self) -> str:
        """Type and SHA-256 fingerprint of the accepted key; empty without one."""
        return fingerprint(self.host_key)

    @property
    def offered_fingerprint(self) -> str:
        """The same of the key that waits for a decision."""
        return fingerprint(self.offered_host_key)


class JumpHost(HostKeyOwner):
    """An SSH server that the way to devices leads through."""

    name = models.CharField(max_length=100, unique=True, validators=[validate_name, validate_shown])
    ip_address = models.CharField("IP address", max_length=255, validators=[validate_address])
    port = models.PositiveIntegerField(
        default=22, validators=[MinValueValidator(1), MaxValueValidator(65535)]
    )
    credential = models.ForeignKey(Credential, on_delete=models.PROTECT, related_name="jump_hosts")
    via = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="beyond",
        help_text="Another jump host on the way to this one; two are the most.",
    )
    tags = models.ManyToManyField(
        Tag,
        blank=True,
        related_name="jump_hosts",
        help_text="Devices with one of these tags are reached through this host.",
    )
    legacy_algorithms = models.BooleanField(
        default=False, help_text="Allow SHA-1 and other algorithms of old devices."
    )
    max_sessions = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Sessions at once that lead through it; empty for no limit.",
    )
    description = models.CharField(max_length=255, blank=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(via=models.F("id")), name="jumphost_not_via_itself"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Refuse ways in a circle and ways over more than two jump hosts."""
        if self.via is None:
            return
        if self.via == self:
            raise ValidationError({"via": "A jump host is not reached through itself."})
        if self.via.via_id is not None:
            raise ValidationError(
                {"via": f"'{self.via}' is reached through another jump host; two are the most."}
            )
        if self.pk is not None and self.beyond.exists():
            raise ValidationError(
                {"via": "Other jump hosts are reached through this one; two are the most."}
            )


def _seconds(what: str) -> models.FloatField[float | None, float | None]:
    return models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(0.1), MaxValueValidator(3600)],
        help_text=f"Seconds {what}; empty takes the setting of the installation.",
    )


class Device(HostKeyOwner):
    """One managed network element with one management address."""

    hostname = models.CharField(max_length=255, validators=[validate_hostname, validate_shown])
    ip_address = models.CharField(
        "IP address",
        max_length=255,
        validators=[validate_address],
        help_text="IPv4 or IPv6 address, or a DNS name that is resolved when connecting.",
    )
    port = models.PositiveIntegerField(
        default=SSH_PORT, validators=[MinValueValidator(1), MaxValueValidator(65535)]
    )
    platform = models.CharField(
        max_length=64,
        validators=[validate_platform],
        help_text="What the device runs, for example cisco_ios.",
    )
    zone = models.ForeignKey(
        Zone, on_delete=models.PROTECT, null=True, blank=True, related_name="devices"
    )
    tags = models.ManyToManyField(Tag, blank=True, related_name="devices")
    credential = models.ForeignKey(
        Credential,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="devices",
        help_text="Goes before the credentials that share a tag with the device.",
    )
    description = models.CharField(max_length=255, blank=True)
    is_active = models.BooleanField(
        default=True, help_text="Inactive devices keep their history and are in no run."
    )
    transport = models.CharField(max_length=6, choices=Transport.choices, default=Transport.SSH)
    jump_host = models.ForeignKey(
        JumpHost,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="devices",
        help_text="Goes before a jump host that shares a tag with the device.",
    )
    legacy_algorithms = models.BooleanField(
        default=False, help_text="Allow SHA-1 and other algorithms of old devices."
    )
    connect_timeout_seconds = _seconds("to wait for the connection")
    login_timeout_seconds = _seconds("to wait for the log-in")
    command_timeout_seconds = _seconds("of silence to bear within an answer")
    deadline_seconds = _seconds("for the whole session")

    # What was found out at the last good session.
    model = models.CharField(max_length=100, blank=True, editable=False)
    serial_number = models.CharField(max_length=100, blank=True, editable=False)
    os_version = models.CharField(max_length=100, blank=True, editable=False)
    facts_at = models.DateTimeField(null=True, blank=True, editable=False)
    #: Whether the running-config differs from the saved one; None where that is not known.
    has_unsaved_config = models.BooleanField(null=True, blank=True, editable=False)

    # The circuit breaker; ``inventory.breaker`` moves it.
    #: Sessions in a row that did not come about for reasons of the device or the network.
    connection_failures = models.PositiveIntegerField(default=0, editable=False)
    #: Until when the device is left out of runs; None while it is not.
    skipped_until = models.DateTimeField(null=True, blank=True, editable=False)
    #: Why it is left out, one line.
    skip_reason = models.CharField(max_length=300, blank=True, editable=False)

    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["hostname"]
        constraints = [
            models.UniqueConstraint(
                Lower("hostname"),
                name="device_hostname_unique",
                violation_error_message="There is already a device with this hostname.",
            ),
            models.CheckConstraint(
                condition=models.Q(port__gte=1, port__lte=65535), name="device_port_range"
            ),
            models.CheckConstraint(
                condition=~models.Q(hostname=""), name="device_hostname_not_empty"
            ),
            models.CheckConstraint(
                condition=~models.Q(ip_address=""), name="device_address_not_empty"
            ),
        ]

    def __str__(self) -> str:
        return self.hostname

    def clean(self) -> None:
        """Put Telnet on its own port where that of SSH was left or given."""
        if self.transport == Transport.TELNET and self.port == SSH_PORT:
            self.port = TELNET_PORT


class CredentialUse(models.Model):
    """How a device last answered to a credential; ``inventory.resolution`` orders by it."""

    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="credential_uses")
    credential = models.ForeignKey(Credential, on_delete=models.CASCADE, related_name="uses")
    #: End of the last session that brought a configuration.
    last_success_at = models.DateTimeField(null=True, blank=True)
    #: When the device last refused it.
    last_failure_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["device", "credential"]
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["device", "credential"], name="credential_use_once"),
        ]

    def __str__(self) -> str:
        return f"{self.credential} on {self.device}"


class HostKeyChange(models.Model):
    """Who accepted another host key, or forgot one, when, and what it replaced. Never edited."""

    #: Name of the device or jump host; outlives it.
    host = models.CharField(max_length=255)
    device = models.ForeignKey(
        Device, on_delete=models.SET_NULL, null=True, blank=True, related_name="host_key_changes"
    )
    jump_host = models.ForeignKey(
        JumpHost, on_delete=models.SET_NULL, null=True, blank=True, related_name="host_key_changes"
    )
    #: Type and SHA-256 fingerprint, empty for none.
    old_fingerprint = models.CharField(max_length=150, blank=True)
    new_fingerprint = models.CharField(max_length=150, blank=True)
    #: Name of the user, or ``command line (NAME)`` with the system user's name.
    changed_by = models.CharField(max_length=200)
    changed_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-changed_at", "-id"]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.host}: {self.new_fingerprint or 'forgotten'}"
