"""``manage.py create_credential``: a new credential, its secrets from stdin or a file only."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser
from django.db import transaction

from common.commands import StackCommand, one_line
from credentials.models import Credential, Provider
from credentials.services import credential_create, tags_ensure


class Command(StackCommand):
    help = "Create a credential. Secrets are read from standard input or a file, never arguments."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--username", required=True)
        parser.add_argument(
            "--password-stdin",
            action="store_true",
            help="read the password: the next line of stdin",
        )
        parser.add_argument(
            "--enable-stdin",
            action="store_true",
            help="read the enable secret: the next line of stdin, after the password",
        )
        parser.add_argument("--ssh-key", type=Path, metavar="FILE", help="private key file")
        parser.add_argument(
            "--passphrase-stdin",
            action="store_true",
            help="read the passphrase of the key: the next line of stdin, after the others",
        )
        parser.add_argument(
            "--provider",
            choices=Provider.values,
            default=Provider.STORED.value,
            help="where the secrets are; all but 'stored' need a --reference",
        )
        parser.add_argument("--reference", default="", help="where the provider has the secrets")
        parser.add_argument("--tags", default="", help="names, separated by ';'")
        parser.add_argument("--priority", type=int, default=100, help="1 (first) to 1000")
        parser.add_argument(
            "--max-sessions", type=int, metavar="N", help="sessions at once that log in with it"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if Credential.objects.filter(name__iexact=options["name"]).exists():
            raise CommandError(f"there is already a credential '{options['name']}'")
        password = _secret("Password: ") if options["password_stdin"] else None
        enable_secret = _secret("Enable secret: ") if options["enable_stdin"] else None
        ssh_key = _key(options["ssh_key"]) if options["ssh_key"] else None
        passphrase = _secret("Passphrase: ") if options["passphrase_stdin"] else None
        try:
            with transaction.atomic():
                credential_create(
                    name=options["name"],
                    username=options["username"],
                    password=password,
                    enable_secret=enable_secret,
                    ssh_key=ssh_key,
                    ssh_key_passphrase=passphrase,
                    tags=tags_ensure(names=options["tags"].split(";")),
                    priority=options["priority"],
                    max_sessions=options["max_sessions"],
                    provider=options["provider"],
                    reference=options["reference"],
                )
        except ValidationError as error:
            raise CommandError(one_line(error)) from None
        self.stdout.write(f"credential '{options['name']}' created")


def _secret(prompt: str) -> str:
    """One line of standard input without its line end; asked for without echo on a terminal."""
    name = prompt.rstrip(": ").lower()
    if sys.stdin is None:  # closed
        raise CommandError(f"{name}: nothing was given on standard input")
    try:
        value = getpass.getpass(prompt) if sys.stdin.isatty() else sys.stdin.readline()
        value.encode()
    except UnicodeError:
        raise CommandError(f"{name}: what standard input gave is not UTF-8 text") from None
    if not value.rstrip("\r\n"):
        raise CommandError(f"{name}: nothing was given on standard input")
    return value.rstrip("\r\n")


def _key(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        text = ""
    if "PRIVATE KEY-----" not in text:
        raise CommandError(f"{path}: not a private key file in OpenSSH or PEM form")
    return text
