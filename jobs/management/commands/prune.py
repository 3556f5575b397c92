"""``manage.py prune``: delete what is no longer to be kept, as the worker does every day."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser

from backups.services.retention import archives_prune
from common.commands import StackCommand
from jobs.notifications.retention import notifications_prune
from jobs.services.retention import logs_prune
from jobs.services.workers import workers_prune


class Command(StackCommand):
    help = "Delete raw copies, decided suspects, logs and runs that are older than their retention."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="count, and delete nothing")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        dry_run = options["dry_run"]
        pruned = asdict(archives_prune(dry_run=dry_run)) | asdict(logs_prune(dry_run=dry_run))
        pruned["dead_workers"] = workers_prune(dry_run=dry_run)
        pruned["messages"] = notifications_prune(dry_run=dry_run)
        if options["json"]:
            self.stdout.write(json.dumps({"dry_run": dry_run, **pruned}))
            return
        verb = "would delete" if dry_run else "deleted"
        counts = ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in pruned.items())
        self.stdout.write(f"{verb}: {counts}")
