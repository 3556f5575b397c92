"""``manage.py reconcile``: one pass of the reconciler, which the workers run by themselves."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from common.commands import StackCommand
from jobs.reconcile import reconcile


class Command(StackCommand):
    help = "Repair what a lost message or a dead worker left behind, once."

    def handle(self, *args: Any, **options: Any) -> None:
        counts = asdict(reconcile())
        self.stdout.write(
            ", ".join(f"{name.replace('_', ' ')}: {count}" for name, count in counts.items())
        )
