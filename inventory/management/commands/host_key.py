"""``manage.py host_key``: show, accept or forget the SSH host key of a device or jump host."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from common.commands import StackCommand, command_line_user
from inventory.models import Device, JumpHost
from inventory.selectors import host_key_owners
from inventory.services import HostKeyNotAccepted, host_key_accept, host_key_forget


class Command(StackCommand):
    help = "Show the host key that is known and the one that was refused; accept or forget it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("host", help="hostname of a device, or name of a jump host")
        parser.add_argument(
            "--jump-host",
            action="store_true",
            help="HOST is a jump host, even if a device has that name",
        )
        decision = parser.add_mutually_exclusive_group()
        decision.add_argument(
            "--accept",
            metavar="FINGERPRINT",
            help="accept the refused key, if it has this fingerprint (SHA256:...)",
        )
        decision.add_argument(
            "--forget", action="store_true", help="take the next key that the host shows"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        owner = _owner(options["host"], jump_host=options["jump_host"])
        user = command_line_user()
        if options["forget"]:
            host_key_forget(owner=owner, changed_by=user)
            self.stdout.write(f"{owner}: the host key is forgotten")
        elif options["accept"] is not None:
            self._accept(owner, options["accept"], user)
        else:
            self.stdout.write(f"known: {owner.host_key_fingerprint or 'none'}")
            self.stdout.write(f"refused: {owner.offered_fingerprint or 'none'}")

    def _accept(self, owner: Device | JumpHost, fingerprint: str, user: str) -> None:
        try:
            owner = host_key_accept(owner=owner, fingerprint=fingerprint, changed_by=user)
        except HostKeyNotAccepted as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"{owner}: {owner.host_key_fingerprint} is accepted")


def _owner(name: str, *, jump_host: bool) -> Device | JumpHost:
    for owner in host_key_owners(name=name):  # devices first
        if isinstance(owner, JumpHost) or not jump_host:
            return owner
    kind = "jump host" if jump_host else "device or jump host"
    raise CommandError(f"there is no {kind} '{name}'")
