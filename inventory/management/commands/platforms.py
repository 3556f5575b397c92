"""``manage.py platforms``: the platforms that can be used, and the files that cannot."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from inventory.platforms import (
    DefinitionError,
    PlatformDefinition,
    get_platform,
    platform_names,
    platform_problems,
)


class Command(BaseCommand):
    help = "List the platforms and their commands; needs no database."
    # They would say the same of broken files, and ask the database.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        platforms = [get_platform(name) for name in platform_names()]
        problems = platform_problems()
        if options["json"]:
            self.stdout.write(
                json.dumps(
                    {
                        "platforms": [_entry(platform) for platform in platforms],
                        "problems": [_problem(problem) for problem in problems],
                    }
                )
            )
        else:
            self.stdout.write("\n".join(_lines(platforms)))
        for problem in problems:
            self.stderr.write(f"{problem.path.parent}/{problem}")
        if problems:
            names = ", ".join(problem.path.stem for problem in problems)
            raise CommandError(f"these platforms cannot be used: {names}; correct their files")


def _lines(platforms: list[PlatformDefinition]) -> list[str]:
    lines = []
    for platform in platforms:
        also = f" (also {', '.join(platform.aliases)})" if platform.aliases else ""
        lines.append(f"{platform.name}{also}: {platform.title}, driver {platform.driver}")
        for command in platform.commands:
            forms = ", else ".join((command.command, *command.fallback))
            lines.append(f"    {command.role}: {forms}")
    return lines


def _entry(platform: PlatformDefinition) -> dict[str, Any]:
    return {
        "name": platform.name,
        "aliases": list(platform.aliases),
        "title": platform.title,
        "driver": platform.driver,
        "commands": [
            {
                "command": command.command,
                "role": command.role.value,
                "fallback": list(command.fallback),
            }
            for command in platform.commands
        ],
        "changes_device": platform.changes_device,
        "note": platform.note,
    }


def _problem(problem: DefinitionError) -> dict[str, str]:
    return {"file": str(problem.path), "key": problem.key, "reason": problem.reason}
