"""``manage.py resolve_credentials``: which credentials fit a device, why, and which is used."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import CommandError, CommandParser

from credentials.management.base import StackCommand
from inventory.selectors import (
    CredentialCandidate,
    DeviceNotFound,
    credential_candidates,
    device_get,
)


class Command(StackCommand):
    help = "List the credentials that fit a device, first choice first. Shows no secret."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("hostname")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            device = device_get(hostname=options["hostname"])
        except DeviceNotFound as error:
            raise CommandError(str(error)) from None
        candidates = credential_candidates(device_ids=[device.pk])[device.pk]
        if options["json"]:
            rows = [_row(place, candidate) for place, candidate in enumerate(candidates, start=1)]
            used = rows[0]["name"] if rows else None
            self.stdout.write(
                json.dumps({"hostname": device.hostname, "used": used, "candidates": rows})
            )
            return
        if not candidates:
            self.stdout.write(f"{device.hostname}: no credential fits; add a tag or a credential")
        for place, candidate in enumerate(candidates, start=1):
            used = "  <- used" if place == 1 else ""
            self.stdout.write(
                f"{place}. {candidate.credential.name} (user {candidate.credential.username}, "
                f"priority {candidate.credential.priority}): {_reason(candidate)}{used}"
            )


def _row(place: int, candidate: CredentialCandidate) -> dict[str, Any]:
    return {
        "place": place,
        "name": candidate.credential.name,
        "username": candidate.credential.username,
        "priority": candidate.credential.priority,
        "rule": candidate.rule,
        "tags": list(candidate.tags),
        "used": place == 1,
    }


def _reason(candidate: CredentialCandidate) -> str:
    if candidate.rule == "device":
        return "the device's own credential"
    return "shares the tag " + ", ".join(candidate.tags)
