"""``manage.py worker``: workers alone, on any host that reaches the database and the broker."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from common.commands import StackCommand
from inventory.models import Zone
from jobs.broker import BROKER_DOWN
from jobs.queues import (
    CONTROL_QUEUE,
    DEVICES_QUEUE,
    GIT_QUEUE,
    ISOLATED_QUEUE,
    zone_of,
    zone_queue,
)
from netraven_site.config import Config
from netraven_site.stack.errors import StackError
from netraven_site.stack.output import tolerant
from netraven_site.stack.worker_host import WorkerHost

_QUEUES = (DEVICES_QUEUE, CONTROL_QUEUE, GIT_QUEUE, ISOLATED_QUEUE)


class Command(StackCommand):
    help = (
        "Run workers on this host until Ctrl-C, for a NetRaven whose database and broker run "
        "elsewhere. Pools and sizes are those of 'manage.py up'."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--zone",
            action="append",
            default=[],
            metavar="NAME",
            help="read the devices of this zone; alone, of nothing else. May be repeated",
        )
        parser.add_argument(
            "--queues",
            type=_names,
            default=[],
            metavar="A,B",
            help=f"serve these of {', '.join(_QUEUES)}, zone.NAME; unless set: all but zones",
        )
        parser.add_argument(
            "--processes", type=int, metavar="N", help="processes that read devices"
        )
        parser.add_argument(
            "--concurrency", type=int, metavar="N", help="devices that one of them reads at once"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        queues = [*options["queues"], *map(zone_queue, options["zone"])] or list(_QUEUES)
        _require_known(queues)
        config = _sized(processes=options["processes"], concurrency=options["concurrency"])
        host = WorkerHost(config, queues=list(dict.fromkeys(queues)), output=tolerant(self._print))
        try:
            host.run()
        except StackError as error:
            raise CommandError(str(error)) from None
        except BROKER_DOWN as error:
            raise CommandError(f"the broker does not answer: {error}; check REDIS_URL") from None

    def _print(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def _names(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _require_known(queues: list[str]) -> None:
    zones = set(Zone.objects.values_list("name", flat=True))
    for queue in queues:
        zone = zone_of(queue)
        if zone is not None and zone not in zones:
            known = ", ".join(sorted(zones)) or "none yet"
            raise CommandError(f"there is no zone '{zone}'; the zones are: {known}")
        if zone is None and queue not in _QUEUES:
            known = ", ".join(_QUEUES)
            raise CommandError(f"there is no queue '{queue}'; the queues are: {known}, zone.NAME")


def _sized(*, processes: int | None, concurrency: int | None) -> Config:
    """The configuration with the sizes of the command line."""
    sizes = {"worker_processes": processes, "worker_concurrency": concurrency}
    given = {name: value for name, value in sizes.items() if value is not None}
    if any(value < 1 for value in given.values()):
        raise CommandError("--processes and --concurrency are at least 1")
    config: Config = settings.NETRAVEN
    return config.model_copy(update=given)
