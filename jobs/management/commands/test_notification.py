"""``manage.py test_notification``: send a test message to a target."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from common.commands import StackCommand
from jobs.models import NotificationTarget
from jobs.notifications.delivery import send_test_message


class Command(StackCommand):
    help = "Send a test message to a notification target, and say how that went."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("target", help="name of the target")

    def handle(self, *args: Any, **options: Any) -> None:
        target = NotificationTarget.objects.filter(name=options["target"]).first()
        if target is None:
            names = ", ".join(NotificationTarget.objects.values_list("name", flat=True)[:10])
            known = f"there are: {names}" if names else "make one in the admin or over the API"
            raise CommandError(f"there is no target '{options['target']}'; {known}")
        outcome = send_test_message(target=target)
        if outcome.error:
            raise CommandError(f"{target.name} ({target.address}): {outcome.error}")
        self.stdout.write(f"{target.name} ({target.address}): the message was taken")
