"""``manage.py redact``: a configuration in, the same without secrets out; needs no database."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from backups.engine.errors import DeviceError
from backups.services.redaction import installation_redactor
from inventory.platforms import PlatformDefinition, UnknownPlatform, get_platform


class Command(BaseCommand):
    help = "Replace the secrets of a configuration, from a file or standard input."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", nargs="?", type=Path)
        parser.add_argument("--platform", help="for example cisco_ios; all rules without it")
        parser.add_argument(
            "--jsonl",
            action="store_true",
            help='map lines {"id","platform","text"} of standard input to {"id","text"}',
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["jsonl"]:
            self._redact_lines(sys.stdin.buffer)
            return
        platform = _platform(options["platform"])
        if options["platform"] and platform is None:
            self.stderr.write(
                f"redact: platform '{options['platform']}' is not known; using the rules of all"
            )
        sys.stdout.buffer.write(_redact(platform, _read(options["file"])).encode())

    def _redact_lines(self, lines: Iterable[bytes]) -> None:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                entry = json.loads(line)
                identifier, name, text = entry["id"], entry["platform"], entry["text"]
                text = _redact(_platform(name), text)
            except (ValueError, KeyError, TypeError, AttributeError):
                raise CommandError(
                    f'line {number} is not a JSON object with "id", "platform" and "text"'
                ) from None
            self.stdout.write(json.dumps({"id": identifier, "text": text}))


def _platform(name: str | None) -> PlatformDefinition | None:
    try:
        return get_platform(name) if name else None
    except UnknownPlatform:
        return None


def _read(path: Path | None) -> str:
    try:
        data = sys.stdin.buffer.read() if path is None else path.read_bytes()
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None
    return data.decode("utf-8", "backslashreplace")


def _redact(platform: PlatformDefinition | None, text: str) -> str:
    try:
        return installation_redactor().redact(platform, text).text
    except DeviceError as error:
        raise CommandError(error.message) from None
