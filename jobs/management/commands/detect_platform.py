"""``manage.py detect_platform``: find out what a device runs, and store it when asked to."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser

from backups.engine.detection import Certainty
from backups.engine.errors import DeviceError
from common.commands import StackCommand, command_line_user, one_line
from credentials.models import Credential
from credentials.selectors import CredentialNotFound, credential_get
from inventory.models import SSH_PORT, Device, validate_address
from inventory.selectors import DeviceNotFound, device_at, device_get
from jobs.models import PlatformDetection
from jobs.services.detection import (
    DetectionNotAccepted,
    address_detect,
    detection_accept,
    detection_create,
    detection_run,
)

_MAX_PORT = 65535
#: Between two looks whether others that try the same credential have ended.
_LOOK_AGAIN_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What ``--json`` prints. Without an error, ``certainty`` is set."""

    host: str
    address: str
    port: int
    certainty: str | None = None
    platform: str | None = None
    evidence: list[str] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    accepted: bool = False
    error_category: str | None = None
    error_message: str | None = None


class Command(StackCommand):
    help = (
        "Find out what a device runs. This process talks to the device itself; no worker is "
        "needed. The exit code is 0 only for a confirmed platform."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "host", help="hostname of a device, or an address that is not in the inventory"
        )
        parser.add_argument(
            "--credential",
            metavar="NAME",
            help="log in with this one; an address outside the inventory needs it",
        )
        parser.add_argument(
            "--port",
            type=int,
            metavar="N",
            help="of an address outside the inventory; 22 by default",
        )
        parser.add_argument(
            "--accept", action="store_true", help="store what was found as the device's platform"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        credential = _credential(options["credential"])
        device = _device(options)
        if device is not None:
            if not options["json"]:
                self._say_who_asks(device.hostname, device.ip_address, device.port)
            self._detect_device(device, credential, options)
            return
        assert credential is not None  # _device has looked
        address, port = _address(options)
        if not options["json"]:
            self._say_who_asks(address, address, port)
        self._report(_found_at(address, port, credential), as_json=options["json"])

    def _say_who_asks(self, host: str, address: str, port: int) -> None:
        where = "" if host == address else f"{address} "
        self.stdout.write(f"{host}: this process connects to {where}port {port}, not a worker")

    def _detect_device(
        self, device: Device, credential: Credential | None, options: dict[str, Any]
    ) -> None:
        detection = detection_create(device=device)
        says_why = not options["json"]
        while not detection_run(detection_id=detection.pk, credential=credential):
            if says_why:
                self.stdout.write("waiting for other detections that try the same credential")
                says_why = False
            time.sleep(_LOOK_AGAIN_SECONDS)
        detection.refresh_from_db()
        found = _found_of(detection)
        refusal = None
        if options["accept"] and found.error_category is None:
            try:
                detection_accept(detection=detection, accepted_by=command_line_user())
                found = replace(found, accepted=True)
            except DetectionNotAccepted as error:
                refusal = str(error)
        self._report(found, as_json=options["json"], refusal=refusal)

    def _report(self, found: _Found, *, as_json: bool, refusal: str | None = None) -> None:
        """Print ``found`` and leave with its exit code."""
        if as_json:
            self.stdout.write(json.dumps(asdict(found)))
        elif found.certainty is not None:
            self._print(found)
        if found.error_category is not None:
            raise CommandError(f"{found.host}: {found.error_category}: {found.error_message}")
        if refusal is not None:
            raise CommandError(f"nothing was stored: {refusal}")
        if found.certainty != Certainty.CONFIRMED:
            sys.exit(1)

    def _print(self, found: _Found) -> None:
        for line in found.evidence:
            self.stdout.write(f"  {line}")
        self.stdout.write(f"{found.host}: {found.platform or 'platform'} {found.certainty}")
        if found.accepted:
            self.stdout.write(f"{found.host}: {found.platform} is stored as its platform")


def _credential(name: str | None) -> Credential | None:
    if name is None:
        return None
    try:
        credential = credential_get(name=name)
    except CredentialNotFound as error:
        raise CommandError(str(error)) from None
    if not credential.is_active:
        raise CommandError(f"credential '{credential}' is inactive; activate it or name another")
    return credential


def _device(options: dict[str, Any]) -> Device | None:
    """The device that is meant; None where an address outside the inventory is."""
    try:
        device = device_get(hostname=options["host"])
    except DeviceNotFound as error:
        if options["credential"] is None:
            raise CommandError(
                f"{error}; with --credential it may be an address that is not in the inventory"
            ) from None
        return None
    if options["port"] is not None:
        raise CommandError(
            f"'{device}' is in the inventory with port {device.port}; leave --port out"
        )
    return device


def _address(options: dict[str, Any]) -> tuple[str, int]:
    """An address and port that the inventory does not have."""
    address: str = options["host"]
    port: int = SSH_PORT if options["port"] is None else options["port"]
    try:
        validate_address(address)
    except ValidationError as error:
        raise CommandError(one_line(error)) from None
    if not 1 <= port <= _MAX_PORT:
        raise CommandError(f"{port} is no port; it is a number from 1 to {_MAX_PORT}")
    if options["accept"]:
        raise CommandError(
            f"'{address}' is not in the inventory, so --accept has nothing to change"
        )
    known = device_at(address=address, port=port)
    if known is not None:
        # Its host key and its jump host count; an address of its own knows neither.
        raise CommandError(f"that is the device '{known}'; give its hostname")
    return address, port


def _found_at(address: str, port: int, credential: Credential) -> _Found:
    nothing = _Found(host=address, address=address, port=port)
    try:
        found = address_detect(address=address, port=port, credential=credential)
    except DeviceError as error:
        return replace(nothing, error_category=error.category.value, error_message=error.message)
    return replace(
        nothing,
        certainty=found.certainty.value,
        platform=found.platform,
        evidence=list(found.evidence),
        facts={fact.value: value for fact, value in found.facts.items()},
    )


def _found_of(detection: PlatformDetection) -> _Found:
    return _Found(
        host=detection.device.hostname,
        address=detection.device.ip_address,
        port=detection.device.port,
        certainty=detection.certainty or None,
        platform=detection.platform or None,
        evidence=detection.evidence,
        facts=detection.facts,
        error_category=detection.error_category or None,
        error_message=detection.error_message or None,
    )
