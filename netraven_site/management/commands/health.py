"""``manage.py health``: for health checks of containers, systemd and the like."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from celery.utils.nodenames import gethostname
from django.core.management.base import CommandError, CommandParser
from django.db.models.functions import Now

from common.commands import StackCommand
from jobs.models import ReconcilerTick, Tick
from jobs.selectors.workers import workers_known
from netraven_site.readiness import Readiness

#: It is written down every ten seconds that beat goes round.
_BEAT_SILENCE = timedelta(seconds=60)


class Command(StackCommand):
    help = "Exit with 0 if all is well, else say in one line what is not."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "part",
            choices=["ready", "worker", "beat"],
            help="ready: database, tables, keys, broker, Git store; worker: those of this host; "
            "beat: wherever it runs",
        )
        parser.add_argument(
            "--name", help="only the worker of this name, which is what stands before the @"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        part = options["part"]
        if part == "ready":
            self._ready()
        elif part == "worker":
            self._worker(options["name"])
        else:
            self._beat()

    def _ready(self) -> None:
        problems = [f"{name}: {text}" for name, text in Readiness().problems().items() if text]
        if problems:
            raise CommandError("; ".join(problems))
        self.stdout.write("ready")

    def _worker(self, name: str | None) -> None:
        host = gethostname()
        here = [
            worker
            for worker in workers_known().filter(host=host)
            if name is None or worker.node == f"{name}@{host}"
        ]
        what = "worker" if name is None else f"worker {name}"
        if not any(worker.is_alive for worker in here):
            raise CommandError(f"no {what} of this host ({host}) gave a sign of life of late")
        dead = [worker.node for worker in here if not worker.is_alive]
        if dead:
            raise CommandError(f"no sign of life of late: {', '.join(dead)}")
        self.stdout.write(f"alive: {', '.join(worker.node for worker in here)}")

    def _beat(self) -> None:
        if not ReconcilerTick.objects.filter(
            pk=Tick.BEAT, last_at__gt=Now() - _BEAT_SILENCE
        ).exists():
            raise CommandError("beat did not go round within the last minute; look at its log")
        self.stdout.write("beat goes round")
