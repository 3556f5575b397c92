"""Django's system checks of the inventory."""

from __future__ import annotations

from typing import Any

from django.core import checks

from inventory.platforms import platform_problems


def check_platform_files(**_options: Any) -> list[checks.CheckMessage]:
    """A warning for each platform definition that cannot be used; the others go on working."""
    return [
        checks.Warning(
            f"{problem.path.parent}/{problem}",
            hint=f"Correct the file; until then the platform {problem.path.stem!r} is not read.",
            id="inventory.W001",
        )
        for problem in platform_problems()
    ]
