"""``manage.py demo``: a whole backup with simulated devices, from nothing to a diff."""

from __future__ import annotations

import sys
import time
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from netraven_site.demo.network import JOB_NAME, create_inventory, device_specs
from netraven_site.demo.simulator import SimulatorError, SimulatorProcess
from netraven_site.stack.errors import StackError
from netraven_site.stack.site_setup import ADMIN_USER
from netraven_site.stack.stack import Stack

_CHANGED_DEVICES = ("access-sw-03", "edge-mx-01")


class Command(BaseCommand):
    help = (
        "Start a stack of its own with simulated devices, back them up, change two of them, back "
        "them up again and show what changed."
    )
    #: The checks would ask a database that is not there yet.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--stay", action="store_true", help="keep everything running until Ctrl-C"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        begin = time.monotonic()
        stack = Stack(settings.NETRAVEN, output=self._say)
        try:
            self._say("starting PostgreSQL, Redis, web, workers, beat and Flower")
            stack.start()
            stack.wait_ready()
            self._say(f"the stack is ready after {time.monotonic() - begin:.0f} s")
            specs = device_specs()
            with SimulatorProcess(specs) as simulator:
                create_inventory(specs, simulator)
                platforms = len({spec.platform for spec in specs})
                self._say(f"{len(specs)} simulated devices of {platforms} platforms are up")
                self._show_backups(simulator)
                self._say(f"done after {time.monotonic() - begin:.0f} s")
                if options["stay"]:
                    self._stay(stack)
        except (StackError, SimulatorError) as error:
            raise CommandError(str(error)) from None
        except KeyboardInterrupt:
            self._say("interrupted")
            sys.exit(130)
        finally:
            stack.stop()

    def _show_backups(self, simulator: SimulatorProcess) -> None:
        self._say(f"first run of the job '{JOB_NAME}'")
        call_command("run_job", JOB_NAME, "--wait", stdout=self.stdout)
        for hostname in _CHANGED_DEVICES:
            for sentence in simulator.change(hostname):
                self._say(f"{hostname}: {sentence}")
        self._say("second run: only what changed is committed")
        call_command("run_job", JOB_NAME, "--wait", stdout=self.stdout)
        for hostname in _CHANGED_DEVICES:
            self._say(f"what changed on {hostname}, without its secrets:")
            call_command("config", "diff", hostname, stdout=self.stdout)

    def _stay(self, stack: Stack) -> None:
        self._say(f"pages: {stack.web_url} (user {ADMIN_USER}, password {stack.first_password})")
        self._say("press Ctrl-C to stop")
        stack.run_until_signal()

    def _say(self, line: str) -> None:
        self.stdout.write(f"demo: {line}")
        self.stdout.flush()
