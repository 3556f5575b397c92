"""``manage.py syslog``: the syslog listener, until Ctrl-C."""

from __future__ import annotations

import asyncio
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from common.commands import StackCommand
from netraven_site.config import Config
from netraven_site.stack.errors import StackError
from netraven_site.stack.output import tolerant
from netraven_site.syslog.listener import Listener

_LAST_PORT = 65535


class Command(StackCommand):
    help = (
        "Listen for syslog messages, UDP and TCP, and back up devices that say that they were "
        "changed, until Ctrl-C."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--bind", metavar="ADDRESS", help="NETRAVEN_SYSLOG_BIND unless given")
        parser.add_argument("--port", type=int, help="NETRAVEN_SYSLOG_PORT unless given")

    def handle(self, *args: Any, **options: Any) -> None:
        config: Config = settings.NETRAVEN
        address = options["bind"] or config.syslog_bind
        port = config.syslog_port if options["port"] is None else options["port"]
        if address is None:
            raise CommandError(
                "no address to listen on: set NETRAVEN_SYSLOG_BIND or give --bind, '::' for all"
            )
        if not 1 <= port <= _LAST_PORT:
            raise CommandError(f"--port is 1 to {_LAST_PORT}")
        try:
            asyncio.run(Listener(config, say=tolerant(self._print)).run(str(address), port))
        except (StackError, ValueError) as error:
            raise CommandError(str(error)) from None

    def _print(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
