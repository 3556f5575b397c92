"""What there is to back up: devices and the zones that workers reach them in."""

from __future__ import annotations

import ipaddress
import re

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models.functions import Lower

from credentials.models import Credential, Tag
from inventory.platforms import UnknownPlatform, get_platform

#: RFC 1123 section 2.1 labels, with the underscore that many networks use in names.
_DNS_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
validate_hostname = RegexValidator(
    r"\A[^\s\x00-\x1f\x7f/\\<>\"'`$;|&]+\Z",
    "A hostname has no blanks, slashes, quotes or control characters.",
)
#: Zone names become queue names.
validate_zone_name = RegexValidator(
    r"\A[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?\Z",
    "A zone name has 1 to 32 lower-case letters, digits or inner hyphens.",
)


def validate_address(value: str) -> None:
    """Accept an IPv4 or IPv6 address or a DNS name; raise ValidationError otherwise."""
    try:
        ipaddress.ip_address(value)
    except ValueError:
        labels = value.removesuffix(".").split(".")
        looks_numeric = labels[-1].isdigit()
        if looks_numeric or not all(_DNS_LABEL.fullmatch(label) for label in labels):
            raise ValidationError(
                "'%(value)s' is neither an IP address nor a DNS name.", params={"value": value}
            ) from None


def validate_platform(value: str) -> None:
    """Accept the name of a platform definition; raise ValidationError otherwise."""
    try:
        get_platform(value)
    except UnknownPlatform as error:
        raise ValidationError(str(error)) from error


class Zone(models.Model):
    """A set of devices that only certain workers can reach: one Celery queue each."""

    name = models.CharField(max_length=32, unique=True, validators=[validate_zone_name])
    description = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Device(models.Model):
    """One managed network element with one management address."""

    hostname = models.CharField(max_length=255, validators=[validate_hostname])
    ip_address = models.CharField(
        "IP address",
        max_length=255,
        validators=[validate_address],
        help_text="IPv4 or IPv6 address, or a DNS name that is resolved when connecting.",
    )
    port = models.PositiveIntegerField(
        default=22, validators=[MinValueValidator(1), MaxValueValidator(65535)]
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
    host_key = models.TextField(
        blank=True,
        editable=False,
        help_text="SSH host key seen at the first session; another one stops the connection.",
    )
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
