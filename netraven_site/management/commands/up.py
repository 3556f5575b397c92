"""``manage.py up``: the whole stack on this machine, until Ctrl-C."""

from __future__ import annotations

import os
import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from netraven_site.stack.errors import StackError
from netraven_site.stack.output import tolerant
from netraven_site.stack.processes import FLOWER_USER
from netraven_site.stack.site_setup import ADMIN_USER
from netraven_site.stack.stack import Stack


class Command(BaseCommand):
    help = (
        "Start PostgreSQL, Redis, web, workers, beat and Flower on this machine and run them "
        "until Ctrl-C. Servers that DATABASE_URL or REDIS_URL name are used instead of own ones."
    )
    #: The checks would ask a database that is not there yet.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--accept-redaction-key",
            action="store_true",
            help="take NETRAVEN_REDACTION_KEY as it is now for the right one",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        begin = time.monotonic()
        stack = Stack(
            settings.NETRAVEN,
            output=self._say,
            echo=self._show,
            accept_redaction_key=options["accept_redaction_key"],
        )
        try:
            self._say(f"starting in {settings.NETRAVEN.data_dir}")
            if os.geteuid() == 0:
                self._say("running as root; a normal user is enough, and safer")
            stack.start()
            if stack.first_password is not None:
                self._show_login(stack.first_password)
            stack.wait_ready()
            self._show_addresses(stack, time.monotonic() - begin)
            stack.run_until_signal()
        except StackError as error:
            raise CommandError(str(error)) from None
        except KeyboardInterrupt:
            self._say("interrupted while starting")
        finally:
            stack.stop()

    def _show_login(self, password: str) -> None:
        self._say(f"log in as {ADMIN_USER} with password {password} (shown only this once)")

    def _show_addresses(self, stack: Stack, seconds: float) -> None:
        keys = settings.NETRAVEN.data_dir / "keys.json"
        self._say(f"ready after {seconds:.1f} s")
        self._say(f"web:    {stack.web_url}")
        self._say(
            f"flower: {stack.flower_url} (user {FLOWER_USER}, password: flower_password in {keys})"
        )
        self._say("press Ctrl-C to stop")

    def _say(self, line: str) -> None:
        self._show(f"netraven: {line}")

    def _show(self, line: str) -> None:
        tolerant(self._print)(line)

    def _print(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
